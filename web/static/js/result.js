/** One page for the whole life of a job: waiting, done, failed, cancelled; it changes without a reload. */
import { api } from "./api.js";
import { $, $$, pageData, redraw, showError } from "./dom.js";
import { showObjects } from "./objects.js";
import { count, sayTimes, seconds } from "./units.js";
import { Viewer } from "./viewer.js";

const POLL_MS = 2000;
const LAYERS = ["original", "probability", "mask", "overlay"];
const viewer = new Viewer($("#viewer"));
const items = {}; // layer name to the picture in the viewer
let job;
let shown = "overlay";
let blinking = false;

const over = ({ state }) => state !== "queued" && state !== "running";
const fail = (error) => showError($("#job-error"), error);

function start() {
  ({ job } = pageData());
  const [, , width, height] = job.source.roi;
  viewer.pixelSize = job.source.pixel_size_um;
  sayTimes();
  $("#viewer-title").textContent = `${job.source.image_name} ${width} × ${height} px`;
  $("#log-block").ontoggle = () => $("#log-block").open && showLog();
  if ($("#cancel")) $("#cancel").onclick = () => act("cancel");
  if ($("#rerun")) $("#rerun").onclick = () => act("rerun");
  if (!items.original) items.original = viewer.openPicture(job.links.original, { width, height });
  if (job.result) showResult();
  else if (!over(job)) showProgress();
}

/** The overlay arrives before the objects are measured and the rest is saved. */
async function showEarly() {
  const [, , width, height] = job.source.roi;
  await items.original;
  items.overlay ??= viewer.openPicture(job.links.overlay, { width, height }, true);
}

async function act(verb) {
  try {
    const { links } = await api(`/jobs/${job.uuid}/${verb}`, { json: {} });
    if (verb === "rerun") location.assign(links.page);
  } catch (error) {
    fail(error);
  }
}

/* Waiting */

function showProgress() {
  const { stage, label, fraction, message } = job.progress || { stage: "queued", label: "Waiting for a worker", fraction: 0 };
  const place = job.place ? `, ${count(job.place, "job")} before yours` : "";
  $("#waiting-sentence").textContent = label + (job.state === "queued" ? place : message ? `: ${message}` : "");
  $("#job-fraction").value = fraction;
  const stages = $$("#stages li");
  const now = stages.findIndex((item) => item.dataset.stage === stage);
  stages.forEach((item, index) => {
    item.classList.toggle("past", index < now);
    if (index === now) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  });
  sayTime();
  if (job.links.overlay) showEarly();
}

function sayTime() {
  if (!job || over(job) || !$("#waiting-time")) return;
  const since = Date.now() / 1e3 - (job.started_at || job.created_at);
  const attempt = job.attempt > 1 ? `, attempt ${job.attempt}` : "";
  $("#waiting-time").textContent = `${job.started_at ? "Running" : "Waiting"} for ${seconds(Math.max(1, Math.round(since)))}${
    job.estimate ? `; about ${seconds(Math.max(1, job.estimate.seconds))} of work expected` : ""}${attempt}`;
}

async function changed(next) {
  const before = job.state;
  job = next;
  fail(null);
  if (next.state !== before) await renew();
  else if (!over(next)) showProgress();
  if ($("#log-block").open) showLog();
}

/** The server draws the panel of each state; what was open in it stays open. */
async function renew() {
  const { open } = $("#log-block");
  await redraw("#result", location.pathname);
  $("#log-block").open = open;
  start();
}

function watch() {
  if (over(job)) return;
  const events = new EventSource(job.links.events);
  events.addEventListener("job", ({ data }) => {
    const next = JSON.parse(data);
    if (over(next)) events.close();
    changed(next).catch(fail);
  });
  events.onopen = () => fail(null);
  events.onerror = () => {
    if (over(job)) return events.close();
    fail({ message: "The connection is lost; trying again.", hint: "The job goes on without this page." });
    if (events.readyState === EventSource.CLOSED) poll();
  };
}

async function poll() {
  try {
    await changed(await api(`/jobs/${job.uuid}`));
  } catch (error) {
    fail(error);
  }
  if (!over(job)) setTimeout(poll, POLL_MS);
}

async function showLog() {
  $("#log").textContent = (await api(job.links.log).catch((error) => error.message)) || "Nothing yet.";
}

/* Done */

function showResult() {
  for (const input of $$("[name=layer]")) input.onchange = () => choose(input.value);
  $("#opacity").oninput = blend;
  choose(shown);
  showObjects(job, viewer).catch(fail);
}

async function choose(layer) {
  shown = layer;
  $(`[name=layer][value=${layer}]`).checked = true;
  const [, , width, height] = job.source.roi;
  await items.original;
  items[layer] ??= viewer.openPicture(job.result.layers[layer], { width, height }, true);
  await items[layer].catch(() => fail({ message: `The layer ${layer} could not be loaded.`, hint: "Try again." }));
  blend();
}

async function blend() {
  const opacity = $("#opacity").value / 100;
  $("#opacity-value").value = `${$("#opacity").value} %`;
  for (const layer of LAYERS.slice(1)) {
    const item = await items[layer];
    item?.setOpacity(layer === shown && !blinking ? opacity : 0);
  }
}

addEventListener("keydown", (event) => {
  if (!job.result || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input[type=search]")) return;
  if (LAYERS[event.key - 1]) choose(LAYERS[event.key - 1]);
  if (event.key !== " " || event.target.matches("button, summary, a, input")) return;
  event.preventDefault();
  blinking = !blinking;
  blend();
});

start();
watch();
setInterval(sayTime, 1000);
