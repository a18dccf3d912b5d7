// A key votes where its button stands; a page that was left is not voted on twice by a held key.
"use strict";
document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const found = [...document.querySelectorAll("[data-key]")].find(
    (one) => one.dataset.key.toLowerCase() === event.key.toLowerCase(),
  );
  if (!found || (event.key === "Enter" && document.activeElement.matches("a, button"))) return;
  event.preventDefault();
  found.click();
});
