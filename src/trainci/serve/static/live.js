"use strict";
// A page of what goes on asks for itself again and takes over what is new, but not while somebody is within it.
const EVERY_MS = 2000;
const renewing = document.querySelector("#renew");
document.querySelector(".renew").hidden = false;

async function renew() {
  const main = document.querySelector("main");
  const isRead = document.hidden || main.contains(document.activeElement) || !getSelection().isCollapsed;
  if (renewing.checked && !isRead) {
    try {
      const answer = await fetch(location.href);
      if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        document.title = fresh.title;
        main.replaceWith(document.adoptNode(fresh.querySelector("main")));
      }
    } catch {
      // The server may be there again later.
    }
  }
  if (document.querySelector("main[data-live]")) setTimeout(renew, EVERY_MS);
  else document.querySelector(".renew").hidden = true;
}

setTimeout(renew, EVERY_MS);
