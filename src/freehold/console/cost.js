// The form works without this: it is sent while a slider is moved, and only what it comes to is taken from the answer.
"use strict";
const form = document.querySelector("form.sliders");
let waiting = 0;
let asked = 0;

function moved(event) {
  event.target.dataset.moved = "1";
  clearTimeout(waiting);
  waiting = setTimeout(send, 120);
}

async function send() {
  const number = ++asked;
  const chosen = new URLSearchParams();
  for (const slider of form.querySelectorAll("input[type=range]")) {
    if (slider.dataset.moved) chosen.set(slider.name, slider.value);
  }
  const answer = await fetch(`${location.pathname}?${chosen}`, { credentials: "same-origin" });
  if (!answer.ok || number !== asked) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const id of ["result", ...[...form.querySelectorAll("output")].map((one) => one.id)]) {
    const fresh = page.getElementById(id);
    if (fresh) document.getElementById(id).replaceWith(document.importNode(fresh, true));
  }
  history.replaceState(null, "", `${location.pathname}?${chosen}`);
}

form.addEventListener("input", moved);
