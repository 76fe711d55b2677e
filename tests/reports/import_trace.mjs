// What the importer of Chrome's own DevTools makes of a trace: each track of each process, with its slices.
import fs from "node:fs";
import * as Trace from "../browser/node_modules/@paulirish/trace_engine/models/trace/trace.js";

// It asks for this class of a browser's, of which there is none in a trace of ours.
globalThis.DOMRect = class {};
const model = Trace.TraceModel.Model.createWithAllHandlers();
await model.parse(JSON.parse(fs.readFileSync(process.argv[2], "utf8")).traceEvents);
const { Meta, Renderer } = model.parsedTrace().data;
const tracks = [];
for (const [pid, { threads }] of Renderer.processes) {
  for (const [tid, { name, entries }] of threads) {
    const slices = entries.map((entry) => [entry.name, entry.ts, entry.dur]);
    tracks.push({ process: Meta.processNames.get(pid).args.name, number: tid, name, slices });
  }
}
console.log(JSON.stringify(tracks));
