"use strict";
// The server tells what is new of a page that goes on, and it is taken over, but not while somebody is within the page.
const AGAIN_AFTER_MS = 5000;
const renewing = document.querySelector("#renew");
let stream = null;
let fresh = null;

function listen() {
  const goesOn = document.querySelector("main[data-live]") !== null && !fresh?.isLast;
  document.querySelector(".renew").hidden = !goesOn;
  if (!goesOn || !renewing.checked || document.hidden) {
    // A browser has few connections to one server: a page that nobody sees gives its own back.
    stream?.close();
    stream = null;
  } else if (!stream) {
    stream = new EventSource("/live" + location.pathname + location.search);
    stream.onmessage = (told) => {
      const main = new DOMParser().parseFromString(told.data, "text/html").querySelector("main");
      fresh = { main, isLast: !("live" in main.dataset) };
      takeOver();
    };
    stream.onerror = () => {
      if (stream?.readyState !== EventSource.CLOSED) return;
      stream = null;
      setTimeout(listen, AGAIN_AFTER_MS);
    };
  }
}

function takeOver() {
  const main = document.querySelector("main");
  const isRead = main.contains(document.activeElement) || !getSelection().isCollapsed;
  if (fresh && renewing.checked && !isRead) {
    if (!fresh.main.isEqualNode(main)) main.replaceWith(document.adoptNode(fresh.main));
    fresh = null;
  }
  listen();
}

for (const left of ["focusout", "selectionchange"]) document.addEventListener(left, () => setTimeout(takeOver));
document.addEventListener("visibilitychange", takeOver);
renewing.addEventListener("change", takeOver);
listen();
