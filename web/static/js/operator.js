/** The operator's page: drawn anew every few seconds without disturbing who works on it; actions without a reload. */
import { $, $$ } from "./dom.js";
import { morph } from "./morph.js";

const EVERY_MS = 2000;
// An answer that does not come is none: without this, one lost connection would end the drawing for good.
const PATIENCE_MS = 8000;
const PAGE = "/operator";
let busy = false;
let actions = 0;

/** Ask for the page, or post a form to it, and draw what has changed; `said` also takes what came of an action. */
async function draw(path, options, said) {
  const before = actions;
  const answer = await fetch(path, { signal: AbortSignal.timeout(PATIENCE_MS), ...options });
  if (!answer.ok) throw new Error(`Zooscope answered ${answer.status}.`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (before !== actions) return; // it tells of a time before the latest action
  if (!$("#operator", page)) return location.assign(PAGE); // signed out meanwhile
  for (const part of $$(said ? "[data-live], #note" : "[data-live]")) morph(part, $(`#${part.id}`, page));
}

async function follow() {
  if (!busy && !document.hidden) {
    try {
      await draw(PAGE);
    } catch {
      $("#state .lamp").className = "lamp down";
      $("#state-sentence").textContent = "Zooscope does not answer; the figures are its last ones.";
    }
  }
  setTimeout(follow, EVERY_MS);
}

document.addEventListener("submit", async (event) => {
  const { target: form, submitter } = event;
  if (!form.closest("#operator")) return;
  event.preventDefault();
  if (busy || (submitter.dataset.confirm && !confirm(submitter.dataset.confirm))) return;
  busy = true;
  actions += 1;
  try {
    await draw(form.getAttribute("action"), { method: "POST", body: new URLSearchParams(new FormData(form, submitter)) }, true);
    if (!submitter.isConnected) refocus(form);
  } catch (error) {
    $("#note").textContent = `${error.message} Try again.`;
  }
  busy = false;
});

/** Whose button has gone goes on at what took its place, or at the note. */
function refocus(form) {
  const next = form.isConnected && $("button", form);
  if (next) return next.focus();
  $("#note").tabIndex = -1;
  $("#note").focus({ preventScroll: true });
}

document.addEventListener("change", ({ target }) => {
  if (!target.dataset.select) return;
  for (const box of $$(`[name=${target.dataset.select}]`, target.form)) box.checked = target.checked;
});

setTimeout(follow, EVERY_MS);
