// Sends a question without leaving the page: Enter sends, Shift+Enter begins a line. The answers come
// with what the page looks at anyway.
"use strict";
const form = document.getElementById("ask");
const question = document.getElementById("question");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const reply = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    patch(form, document.adoptNode(page.getElementById("ask")));
    if (reply.ok) question.value = "";
    (form.querySelector("[aria-invalid]") ?? question).focus();
  } catch {
    lost.hidden = false;
  }
});
question.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});

// Who reads the end goes on reading it; who looked back stays there.
let atEnd = true;
addEventListener("scroll", () => {
  atEnd = innerHeight + scrollY > document.body.scrollHeight - 80;
});
new MutationObserver(() => {
  if (atEnd) scrollTo(0, document.body.scrollHeight);
}).observe(shown, { childList: true, subtree: true, characterData: true });
