/** My previews: select, open, delete with a few seconds to think better of it. */
import { api } from "./api.js";
import { $, $$, showError } from "./dom.js";
import { redraw } from "./redraw.js";
import { count, sayTimes } from "./units.js";

const UNDO_MS = 7000;
const EVERY_MS = 3000;
const cards = () => $$(".job-card:not([hidden])");
const box = (card) => $("input", card);
const picked = () => cards().filter((card) => box(card).checked);
let leaving = []; // cards that go when the time to undo is over
let timer;

function mark() {
  const chosen = picked();
  for (const card of cards()) card.classList.toggle("chosen", chosen.includes(card));
  $("#selected-count").textContent = chosen.length ? `${chosen.length} selected` : "Select all";
  $("#select-all").checked = chosen.length > 0 && chosen.length === cards().length;
  for (const button of ["open", "delete"]) $(`#${button}-selected`).disabled = !chosen.length;
  $("#no-jobs").hidden = cards().length > 0;
}

function remove() {
  commit();
  leaving = picked();
  for (const card of leaving) card.hidden = true;
  $("#undo span").textContent = `${count(leaving.length, "preview")} deleted.`;
  $("#undo").hidden = false;
  timer = setTimeout(commit, UNDO_MS);
  mark();
}

function restore() {
  for (const card of leaving) card.hidden = false;
  leaving = [];
  commit();
  mark();
}

function commit() {
  clearTimeout(timer);
  $("#undo").hidden = true;
  for (const card of leaving.splice(0)) {
    api(`/jobs/${card.dataset.uuid}`, { method: "DELETE", keepalive: true }).catch((error) => {
      card.hidden = false;
      showError($("#mine-error"), error);
    });
  }
}

/** While something runs, the server draws the cards anew, unless somebody is about to do something with them. */
async function follow() {
  if (!$("[data-state=queued], [data-state=running]")) return;
  if (!picked().length && !leaving.length) await redraw("#job-cards", location.href).then(sayTimes, () => {});
  setTimeout(follow, EVERY_MS);
}

$("#main").addEventListener("change", mark);
$("#select-all").onchange = ({ target }) => {
  for (const card of cards()) box(card).checked = target.checked;
  mark();
};
$("#open-selected").onclick = () => picked().forEach((card, index) => open(`/r/${card.dataset.uuid}`, index ? "_blank" : "_self"));
$("#delete-selected").onclick = remove;
$("#undo button").onclick = restore;
addEventListener("pagehide", commit);
mark();
setTimeout(follow, EVERY_MS);
