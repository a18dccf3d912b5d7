// Asks twice a second what is new of this run, and changes only the parts that differ, so that a
// button keeps the focus. What is shown comes whole from the server.
"use strict";
const shown = document.getElementById("now");
const lost = document.getElementById("lost");

async function look() {
  try {
    const reply = await fetch("now?seen=" + shown.dataset.seen);
    lost.hidden = reply.ok;
    if (reply.status === 200) {
      const page = new DOMParser().parseFromString(await reply.text(), "text/html");
      const fresh = page.getElementById("now");
      for (const part of fresh.querySelectorAll(":scope > section")) {
        const old = document.getElementById(part.id);
        if (old.innerHTML !== part.innerHTML) old.replaceWith(document.adoptNode(part));
      }
      shown.dataset.seen = fresh.dataset.seen;
    }
  } catch {
    lost.hidden = false;
  }
  setTimeout(look, document.hidden ? 5000 : 500);
}
setTimeout(look, 500);
