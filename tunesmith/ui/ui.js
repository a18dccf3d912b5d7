// Asks twice a second what is new, and changes only the elements that differ, so that what has the
// focus, is chosen or is open stays so. What is shown comes whole from the server.
"use strict";
const shown = document.getElementById("now");
const lost = document.getElementById("lost");

// Makes old equal to fresh. Elements with an id are found by it, the others by their place.
function patch(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== Node.ELEMENT_NODE || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
    old.replaceWith(fresh);
    return;
  }
  // What this page was sent and refused, no other knows of: it stays as it was filled.
  if (old.matches('[data-refused] #now form[method="post"]:has([role="alert"])')) return;
  for (const { name } of [...old.attributes])
    if (!fresh.hasAttribute(name) && name !== "open" && name !== "style") old.removeAttribute(name);
  for (const { name, value } of [...fresh.attributes])
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const known = new Map([...old.children].filter((one) => one.id).map((one) => [one.id, one]));
  let place = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    const same = next.id ? known.get(next.id) : place && !place.id ? place : null;
    if (!same) {
      old.insertBefore(next, place);
    } else {
      if (same === place) place = place.nextSibling;
      else old.insertBefore(same, place);
      patch(same, next);
    }
  }
  while (place) {
    const after = place.nextSibling;
    place.remove();
    place = after;
  }
}

async function look() {
  try {
    const reply = await fetch(shown.dataset.from + shown.dataset.seen);
    lost.hidden = reply.ok;
    if (reply.status === 200) {
      const page = new DOMParser().parseFromString(await reply.text(), "text/html");
      patch(shown, document.adoptNode(page.getElementById("now")));
    }
  } catch {
    lost.hidden = false;
  }
  setTimeout(look, document.hidden ? 5000 : Number(shown.dataset.every) || 500);
}
if (shown) setTimeout(look, 500);

// A report is as high as what it says.
function grow(frame) {
  if (frame.contentDocument) frame.style.height = `${frame.contentDocument.documentElement.scrollHeight + 8}px`;
}
document.addEventListener("load", ({ target }) => target.matches?.("iframe.report") && grow(target), true);
addEventListener("resize", () => document.querySelectorAll("iframe.report").forEach(grow));
