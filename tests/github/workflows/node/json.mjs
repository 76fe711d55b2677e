// The packages import JSON in the way of bundlers; node wants to be told that it is JSON.
import { register } from "node:module";

export function load(url, context, next) {
  return next(url, url.endsWith(".json") ? { ...context, importAttributes: { type: "json" } } : context);
}

if (!import.meta.url.includes("?hook")) register(`${import.meta.url}?hook`);
