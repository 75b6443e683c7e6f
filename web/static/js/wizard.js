/** A draft in five steps. The address' fragment is the step; the form saves itself. */
import { api } from "./api.js";
import { $, $$, h, pageData, showError } from "./dom.js";
import { roleOf, sendFile } from "./send_file.js";
import { count, short } from "./units.js";
import { checking } from "./wizard_check.js";
import { formFields } from "./wizard_fields.js";
import { keeper } from "./wizard_keep.js";

const UNDO = 10000;
const STEPS = $$("[data-step]").map((link) => link.dataset.step);
const STATES = { submitted: "It is under review. You find the reviewer's comments here.", returned: "A reviewer returned it: see the comments below, change what is needed, check and submit it again.",
  accepted: "It was accepted and is being published.", published: "It is published." };
const { submission: first, heads, me } = pageData();
let draft = first;
const isOpen = () => ["draft", "returned"].includes(draft.state) && draft.owner === me;
const touched = new Set();
const seen = new Set();
const sending = new Map();

const form = formFields(heads, typed, offerUndo);
const keep = keeper(first, isOpen(), saySaved, (newest, mine) => took(newest, mine));
const check = checking({ draft: () => draft, flush: keep.flush, got: keep.newer });

function typed(name, value) {
  touched.add(name);
  keep.change(name, value);
  for (const list of ["prefilled", "guessed"]) {
    if (!draft.fields[list]?.includes(name)) continue;
    draft.fields[list] = draft.fields[list].filter((one) => one !== name);
    keep.change(list, draft.fields[list]);
    const mark = $(".from-file", form.holders[name]);
    if (mark) mark.hidden = true;
  }
  if (name === "name" && !touched.has("id") && (draft.state === "draft")) {
    const slug = value.normalize("NFKD").toLowerCase().replace(/[\u0300-\u036f]/g, "").replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 60);
    if (!draft.fields.id || draft.fields.id === draft.proposed) {
      draft.proposed = draft.fields.id = $("#field-id").value = slug;
      keep.change("id", slug);
    }
  }
  if (name === "output_channels") form.fields.head.show();
}

function saySaved(kind, error) {
  const says = { saved: "Saved", saving: "Saving…", merged: "Saved; another window changed this draft too, and both are kept",
    away: "Not saved on the server yet; kept in this browser" };
  $("#save-state").dataset.kind = kind;
  $("#save-state").replaceChildren(...(kind === "signed-out" ? ["You are signed out. What you typed is kept in this browser: ",
    h("a", { href: `/sign-in?next=${encodeURIComponent(location.pathname)}` }, "sign in"), " to save it."] : [says[kind]]));
  showError($("#page-error"), kind === "away" && error.code !== "offline" ? error : null);
}

/** Show a newer submission; `mine` are fields typed since. */
function took(newest, mine = {}) {
  draft = { ...newest, proposed: draft.proposed, mine: newest.owner === me };
  form.show(draft.fields, mine);
  const open = isOpen();
  $$("#step-files, #step-what, #step-how").forEach((step) => { step.inert = !open; });
  const note = $("#state-note");
  note.hidden = !STATES[draft.state];
  note.replaceChildren(STATES[draft.state] || "", ...(draft.state === "published" ? [" ", h("a", { href: `/models/${draft.model_id}` }, "See its page")] : []),
    ...(draft.doi ? [` DOI ${draft.doi}`] : []));
  $("#draft-title").textContent = draft.fields.name || mine.name || "A model without a name";
  const whole = "package" in draft.files;
  for (const holder of $$("#step-how [data-field]")) holder.hidden = whole && !["head", "pixel_size_um", "plane_size_um", "dimensionality"].includes(holder.dataset.field);
  $("#how-of-package").hidden = !whole;
  showFiles();
  sayMissing();
  check.show();
}

function sayMissing() {
  const missing = [...draft.conflict && !draft.missing.some(({ field }) => field === draft.conflict.field)
    ? [{ field: draft.conflict.field, sentence: `${draft.conflict.message} ${draft.conflict.hint}` }] : [], ...draft.missing];
  const told = new Set([...touched, ...[...seen].flatMap((step) => $$(`#step-${step} [data-field]`).map((holder) => holder.dataset.field)), ...draft.conflict ? [draft.conflict.field] : []]);
  form.complain(missing, told);
  const open = isOpen();
  const lack = { files: missing.filter(({ field }) => ["package", "test_image"].includes(field)).length, check: 0, submit: 0,
    what: missing.filter(({ field }) => form.holders[field]?.closest("#step-what")).length, how: missing.filter(({ field }) => form.holders[field]?.closest("#step-how")).length };
  const done = { files: !lack.files, what: !lack.what, how: !lack.how && !lack.files, check: draft.check?.state === "passed" && !draft.check.outdated, submit: !open };
  for (const link of $$("[data-step]")) {
    const { step } = link.dataset;
    link.classList.toggle("ready", Boolean(done[step]));
    $(".step-lack", link).textContent = open && lack[step] ? `${lack[step]} missing` : "";
  }
}

/* Files */
const size = (bytes) => bytes < 1e6 ? `${short(bytes / 1e3)} kB` : `${short(bytes / 1e6)} MB`;
function showFiles() {
  sayFound();
  for (const place of $$(".sent")) {
    const role = place.dataset.role === "weights" && draft.files.package ? "package" : place.dataset.role;
    const file = draft.files[role];
    const shown = $(".sent-file", place);
    shown.hidden = !file || sending.has(place.dataset.role);
    $(".drop-zone", place).hidden = Boolean(file) || sending.has(place.dataset.role);
    if (!file) continue;
    const what = { package: "package", weights: { keras: "Keras network", onnx: "ONNX network" }[draft.fields.facts?.framework] || "network", test_image: "test image", cover: "cover" }[role];
    shown.replaceChildren(...(role === "test_image" || role === "cover" ? [h("img", { src: `/api/v1/submissions/${draft.id}/files/${role}/thumbnail.png?at=${file.at}`, alt: "", width: 96, height: 96 })] : []),
      h("p", {}, h("strong", {}, file.name), h("span", { class: "hint" }, `${what}, ${size(file.bytes)}`)),
      h("button", { type: "button", class: "button small", click: () => remove(role, place) }, "Remove", h("span", { class: "visually-hidden" }, ` ${file.name}`)));
  }
}

async function send(file) {
  let role = roleOf(file);
  const place = $(`#sent-${role === "package" ? "weights" : role}`);
  const [zone, box, note] = [$(".drop-zone", place), $(".sending", place), $(".error-note", place)];
  sending.get(place.dataset.role)?.abort();
  const stop = new AbortController();
  sending.set(place.dataset.role, stop);
  showError(note, null);
  zone.hidden = $(".sent-file", place).hidden = true;
  box.hidden = false;
  $(".sending-name", box).textContent = file.name;
  $("[data-cancel]", box).onclick = () => stop.abort();
  try {
    await keep.flush();
    const { submission } = await sendFile(draft.id, role, file, (part) => {
      $("progress", box).value = part;
      $(".sending-state", box).textContent = part < 1 ? `${Math.floor(part * 100)} % of ${size(file.size)}` : "Looking at what is in it…";
    }, stop.signal);
    keep.newer(submission);
  } catch (error) {
    if (error.name !== "AbortError") showError(note, error);
  } finally {
    if (sending.get(place.dataset.role) === stop) sending.delete(place.dataset.role);
    box.hidden = true;
    showFiles();
    $$("input[type=file]").forEach((input) => { input.value = ""; });
  }
}

/** What the file told, and what about it needs a look. */
function sayFound() {
  const { facts = {}, prefilled = [] } = draft.fields;
  const { wrong = [] } = facts;
  const some = draft.files.package || draft.files.weights;
  $("#file-says").hidden = !some;
  if (!some) return;
  const known = draft.files.package ? `The package fills in ${count(prefilled.length, "field")} of the form.`
    : `The network takes ${facts.channels ?? "some"} channel${facts.channels === 1 ? "" : "s"} and makes ${facts.maps ?? "some"} map${facts.maps === 1 ? "" : "s"}${facts.cell > 1 ? ` with a cell every ${facts.cell} px` : ""}; it sees ${facts.reach ?? "?"} px far.`;
  $("#file-says").replaceChildren(h("p", {}, known, " What was filled in is marked “from the file”: look it over."),
    ...(wrong.length ? [h("ul", { class: "lack-list" }, ...wrong.map(({ field, sentence }) => h("li", {}, h("a", { href: `#field-${field}`, "data-to": field }, sentence))))] : []));
}

async function remove(role, place) {
  try {
    keep.newer(await api(`/submissions/${draft.id}/files/${role}`, { method: "DELETE" }));
    $("input", place).focus();
  } catch (error) {
    showError($(".error-note", place), error);
  }
}

for (const input of $$("input[type=file]")) input.addEventListener("change", () => [...input.files].forEach(send));
const over = (on) => $$(".drop-zone").forEach((zone) => zone.classList.toggle("over", on));
addEventListener("dragover", (event) => { event.preventDefault(); over(true); });
addEventListener("dragleave", (event) => event.relatedTarget || over(false));
addEventListener("drop", (event) => {
  event.preventDefault();
  over(false);
  if (isOpen()) [...event.dataTransfer.files].slice(0, 2).forEach(send);
});

/* Undo, steps */
let undoTimer;
function offerUndo(text, back) {
  clearTimeout(undoTimer);
  $("#undo span").textContent = text;
  $("#undo").hidden = false;
  $("#undo button").onclick = () => {
    back();
    $("#undo").hidden = true;
  };
  undoTimer = setTimeout(() => { $("#undo").hidden = true; }, UNDO);
}

function turn(focus) {
  const field = location.hash.slice(1).replace(/^(field|sent)-/, "");
  const place = form.holders[field];
  const step = place ? place.closest("section").id.slice(5) : STEPS.includes(field) ? field : "files";
  for (const one of STEPS) $(`#step-${one}`).hidden = one !== step;
  for (const link of $$("[data-step]")) {
    link.ariaCurrent = link.dataset.step === step ? "step" : null;
    if (link.ariaCurrent && focus) link.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  const at = STEPS.indexOf(step);
  $("#turn-back").hidden = at === 0;
  $("#turn-next").hidden = at === STEPS.length - 1;
  $("#turn-back").href = `#${STEPS[at - 1] || step}`;
  $("#turn-next").href = `#${STEPS[at + 1] || step}`;
  if (place) form.fields[field].focus.focus();
  else if (focus) $(`#step-${step} h2`).parentElement.focus();
  if (focus && !place) scrollTo({ top: 0 });
  for (const one of STEPS.slice(0, at)) seen.add(one);
  sayMissing();
}
addEventListener("hashchange", () => turn(true));
// A link to what is missing works again when it is clicked twice.
document.addEventListener("click", ({ target }) => {
  const link = target.closest("[data-to]");
  if (link && location.hash === link.getAttribute("href")) turn(true);
});
$("#draft-form").onsubmit = (event) => event.preventDefault();

took(first, keep.restored);
if (Object.keys(keep.restored).length) {
  saySaved("saving");
  keep.flush();
}
$("#wizard").hidden = false;
turn(false);
