// Sends each form once, and says that it waits where the answer takes longer than a moment.
"use strict";
const waiting = document.getElementById("waiting");
const sentForms = new WeakSet();

addEventListener("submit", (event) => {
  if (event.defaultPrevented) return;
  if (sentForms.has(event.target)) return void event.preventDefault();
  sentForms.add(event.target);
  setTimeout(() => { waiting.hidden = false; }, 400);
});
// Where something is wrong one goes on at the first such field.
document.querySelector("[aria-invalid], fieldset[aria-describedby] input")?.focus();
// A page that comes back from the browser's memory has not sent anything.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
