// Sends a dropped file, reads a chosen YAML file into its field, leaves empty fields, and those of
// another goal, out of the address, and asks again while the server is still looking. All else comes whole from the server.
"use strict";
const drop = document.getElementById("drop");
const form = document.getElementById("new");
const under = new Set(); // fields whose file is still on its way

function send(file, place) {
  if (under.has(place)) return;
  under.add(place);
  const sending = document.getElementById("sending");
  const told = document.getElementById("dropped");
  const asked = new XMLHttpRequest();
  asked.open("POST", "/new/upload?name=" + encodeURIComponent(file.name));
  asked.responseType = "json";
  asked.upload.onprogress = (event) => { sending.value = event.loaded / (event.total || 1); };
  asked.onloadend = () => {
    under.delete(place);
    sending.hidden = under.size === 0;
    const path = asked.response && asked.response.path;
    told.className = path ? "" : "problem";
    told.textContent = path ? `${drop.dataset.sent} ${path}`
      : (asked.response && asked.response.problem) || drop.dataset.lost;
    if (path) place.value = path;
  };
  sending.hidden = false;
  told.className = "";
  told.textContent = `${drop.dataset.sending} ${file.name}`;
  asked.send(file);
}

if (drop) {
  // Several files at once: the first is the file of rows, the others go to the free fields below.
  const take = (files) => {
    const free = [...form.querySelectorAll('[name^="file."]')].filter((one) => !one.value);
    const places = [document.getElementById("f-data"), ...free];
    [...files].slice(0, places.length).forEach((file, number) => send(file, places[number]));
    if (files.length > 1) free[0]?.closest("details").setAttribute("open", "");
  };
  for (const [id, then] of [["file", take],
    ["asked-file", ([file]) => send(file, document.getElementById("f-questions"))]]) {
    const chosen = document.getElementById(id);
    chosen.addEventListener("change", () => { if (chosen.files[0]) then(chosen.files); });
  }
  for (const name of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragover");
      if (name !== "drop" || !event.dataTransfer.files[0]) return;
      document.getElementById("file").files = event.dataTransfer.files; // which says their names
      take(event.dataTransfer.files);
    });
  }
  document.getElementById("yaml-file").addEventListener("change", async (event) => {
    if (event.target.files[0]) document.getElementById("yaml").value = await event.target.files[0].text();
  });
}
if (form) {
  form.addEventListener("submit", (event) => {
    if (!under.size) return;
    event.preventDefault();
    document.getElementById("dropped").textContent = drop.dataset.later;
  });
  form.addEventListener("formdata", (event) => {
    const data = event.formData;
    for (const [name, value] of [...data]) if (value === "") data.delete(name);
    if (data.get("goal") !== "rewards")
      for (const one of form.querySelectorAll(".rewards [name]")) data.delete(one.name);
  });
}

async function again() {
  try {
    const reply = await fetch(location.href);
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    if (reply.redirected || !page.querySelector("[data-wait]")) return void location.replace(reply.url);
    const old = document.querySelector("[data-wait]");
    const fresh = page.querySelector("[data-wait]");
    if (old.innerHTML !== fresh.innerHTML) old.replaceWith(document.adoptNode(fresh));
  } catch { /* the server is gone for a moment, or for good: what is shown stays */ }
  setTimeout(again, 700);
}
if (document.querySelector("[data-wait]")) setTimeout(again, 700);
