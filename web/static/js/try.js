/** The try page; all of it is in the address, so that a reload loses nothing. */
import { api } from "./api.js";
import { $, $$, h, pageData, settled, showError } from "./dom.js";
import { imageStep } from "./image_step.js";
import { apiOnce } from "./once.js";
import { Roi } from "./roi.js";
import { settingsForm } from "./settings_form.js";
import { seconds, short } from "./units.js";
import { Viewer } from "./viewer.js";

const { roi_pixels: BUDGET, settings: SETTINGS } = pageData();
const megapixels = (pixels) => `${short(pixels / 1e6)} MP`;
const FIRST_REGION = 1024; // px, side of a large image's first region
const address = new URLSearchParams(location.search);
const numbers = (name) => (address.get(name) ? address.get(name).split(",").map(Number) : null);
const boxes = $$("[name=model]");
const settings = {};
for (const [name, value] of address) {
  if (name.startsWith("set.")) settings[name.slice(4)] = Number.isNaN(Number(value)) ? value : Number(value);
}
const state = { image: null, plane: Number(address.get("plane")) || 0, channels: numbers("channels"),
  pixelSize: Number(address.get("px")) || null, pixelSizeFrom: "user", estimates: [] };

const viewer = new Viewer($("#viewer"));
const roi = new Roi(viewer, regionChanged);
const form = settingsForm(SETTINGS, settings, () => state.image?.depth ?? Infinity, changed);
const image = imageStep({ state, viewer, got: (found) => open(found), changed: imageChanged });

const chosen = () => boxes.filter((box) => box.checked);

function saveAddress() {
  const entries = { model: chosen().map((box) => box.value).join(","), image: state.image?.id,
    roi: roi.value && Object.values(roi.value).join(","), plane: state.plane || "", channels: state.channels?.join(","),
    px: state.pixelSizeFrom === "user" ? state.pixelSize : "", rerun: address.get("rerun") };
  for (const [name, value] of Object.entries(settings)) entries[`set.${name}`] = value;
  const kept = Object.entries(entries).filter(([, value]) => value != null && value !== "");
  history.replaceState(null, "", `?${new URLSearchParams(kept).toString().replaceAll("%2C", ",")}`);
}

/** Show `found`, with plane, region and pixel size from the address if `kept`. */
function open(found, kept = false) {
  state.image = found;
  if (!kept) Object.assign(state, { plane: 0, channels: null, pixelSize: null });
  if (!state.pixelSize) {
    state.pixelSize = found.pixel_size?.x_um ?? null;
    state.pixelSizeFrom = state.pixelSize ? "file" : "none";
  }
  state.plane = Math.min(state.plane, found.planes - 1);
  viewer.pixelSize = state.pixelSize;
  roi.remove();
  image.show();
  modelsChanged();
  showTiles();
  $("#roi-fields").disabled = false;
  const region = kept && numbers("roi");
  if (region?.length === 4 && region.every(Number.isFinite)) {
    roi.set({ x: region[0], y: region[1], width: region[2], height: region[3] });
  } else {
    const all = found.width * found.height <= 2 * FIRST_REGION ** 2;
    const [width, height] = all ? [found.width, found.height] : [FIRST_REGION, FIRST_REGION];
    roi.set({ x: (found.width - width) / 2, y: (found.height - height) / 2, width, height });
  }
}

const imageError = (error) => showError($("#image-error"), error);
const showTiles = () => image.tiles()
  .catch(() => imageError({ message: "The image cannot be shown.", hint: "Reload the page, or upload it again." }));

function imageChanged(part) {
  if (part === "pixelSize") viewer.pixelSize = state.pixelSize;
  else showTiles();
  roi.set(roi.value);
}

function regionChanged({ x, y, width, height }, done) {
  for (const [name, value] of Object.entries({ x, y, width, height })) $(`#roi-${name}`).value = value;
  const part = (width * height) / BUDGET;
  $("#budget-fill").style.width = `${Math.min(100, part * 100)}%`;
  $(".budget").classList.toggle("over", part > 1);
  $("#budget-text").textContent = `${megapixels(width * height)} of at most ${megapixels(BUDGET)}`;
  $("#region-summary").textContent = roi.describe();
  $("#step-region").classList.add("ready");
  if (!done) return;
  draw(false);
  changed();
}

function draw(on) {
  roi.drawing = on;
  $("#roi-draw").setAttribute("aria-pressed", on);
  $("#viewer").classList.toggle("drawing", on);
}

function changed() {
  saveAddress();
  estimate();
}

/** Requests for models (their boxes), one for each set of settings and channels. */
function requests(models) {
  const { image: { id }, plane, channels, byRole, pixelSize, pixelSizeFrom } = state;
  const groups = Map.groupBy(models, (box) => JSON.stringify({ settings: box.checked ? form.of(box.value) : {}, channels: byRole && box.value !== byRole ? null : channels }));
  return [...groups].map(([shared, group]) => ({ ...JSON.parse(shared), image: id, plane, roi: Object.values(roi.value),
    models: group.map((box) => ({ id: box.value })), rerun_of: address.get("rerun"), pixel_size_um: pixelSizeFrom === "user" ? pixelSize : null }));
}

let asking = new AbortController();
const estimate = settled(async () => {
  if (!state.image || !boxes.length) return sayEstimate();
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  try {
    state.estimates = (await Promise.all(requests(boxes).map((json) => api("/estimates", { json, signal })))).flatMap(({ items }) => items);
  } catch (error) {
    return error.name === "AbortError" || place(error);
  }
  return showEstimates();
}, 200);

function showEstimates() {
  const rank = (item) => (item.ok ? item.suitability : -1);
  const ranked = [...state.estimates].sort((one, other) => rank(other) - rank(one));
  if (!chosen().length && !address.has("model") && ranked[0]?.ok) {
    boxes.find((box) => box.value === ranked[0].model).checked = true;
    address.set("model", ranked[0].model);
    modelsChanged();
  }
  const rows = ranked.map((item) => {
    const row = boxes.find((box) => box.value === item.model).closest("li");
    $("label", row).classList.toggle("unfit", !item.ok);
    $(".reason", row).textContent = [...item.reasons, item.ok && `about ${seconds(item.seconds)}`].filter(Boolean).join("; ");
    return row;
  });
  const list = $("#model-list");
  if (rows.some((row, index) => list.children[index] !== row)) {
    const focused = document.activeElement;
    list.append(...rows);
    if (list.contains(focused)) focused.focus();
  }
  sayEstimate();
}

function sayEstimate() {
  const picked = chosen().map((box) => state.estimates.find((item) => item.model === box.value)).filter(Boolean);
  const refused = picked.find((item) => !item.ok);
  const ready = state.image && picked.length > 0 && !refused;
  for (const note of ["region", "model", "settings", "run"]) showError($(`#${note}-error`), null);
  form.place(null);
  if (refused) place(refused.error, refused.model);
  $("#run").disabled = !ready;
  const [time, ...rest] = picked.length === 1 ? picked[0].text.split(": ")
    : [`about ${seconds(picked.reduce((sum, item) => sum + item.seconds, picked[0]?.eta?.start_s))}`, `${picked.length} models, one after the other`];
  $("#estimate").replaceChildren(...(ready ? [h("strong", {}, time[0].toUpperCase() + time.slice(1)), h("br"), rest.join(": ")]
    : [state.image ? (refused ? "Change what is marked above." : "Choose a model.") : "Choose an image to see how long it takes."]));
}

/** An error stands at its cause. */
function place(error, model) {
  if (form.place(error, model)) return;
  const step = [["region", /region|roi/], ["settings", /setting/], ["image", /image|plane|upload|sample/], ["model", /model|channel/]]
    .find(([, codes]) => codes.test(error.code))?.[0];
  showError($(`#${step || "run"}-error`), error);
}

function modelsChanged() {
  const names = chosen().map((box) => box.dataset.name);
  $("#model-summary").textContent = names.length > 1 ? `${names.length} models` : names[0] || "none yet";
  $("#step-model").classList.toggle("ready", names.length > 0);
  const first = chosen()[0];
  image.channels(first?.dataset.roles ? first : null);
  form.show(chosen().map((box) => box.value));
  if (roi.value) changed();
}

async function run() {
  if ($("#run").disabled) return;
  $("#run").disabled = true;
  const jobs = [];
  try {
    for (const json of requests(chosen())) jobs.push(...(await apiOnce("/jobs", json)).jobs);
    location.assign(jobs.length === 1 ? jobs[0].links.page : "/mine");
  } catch (error) {
    place(error);
    $("#run").disabled = false;
  }
}

for (const name of ["x", "y", "width", "height"]) {
  $(`#roi-${name}`).onchange = ({ target }) => roi.set({ ...roi.value, [name]: Number(target.value) || 0 });
}
$("#roi-draw").onclick = () => draw(!roi.drawing);
$("#roi-whole").onclick = () => roi.set({ x: 0, y: 0, ...viewer.size });
$("#roi-show").onclick = () => viewer.zoomTo(roi.value, 0.1);
for (const box of boxes) {
  box.checked = (address.get("model") || "").split(",").includes(box.value);
  box.onchange = modelsChanged;
}
$("#try-form").onsubmit = (event) => {
  event.preventDefault();
  run();
};
addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
  if (event.key === "Escape") draw(false);
});
// Back from a result, the page may come from memory with Run off.
addEventListener("pageshow", (event) => event.persisted && sayEstimate());

$("#viewer-empty").append(h("strong", {}, "Drop an image here"), "or choose a file, paste one, or take a sample, in step 1.");
if (chosen().length) modelsChanged();
if (address.has("image")) {
  api(`/images/${encodeURIComponent(address.get("image"))}`).then((found) => open(found, true), imageError);
} else if (address.has("sample")) {
  image.takeSample(address.get("model"), Number(address.get("sample")));
}
