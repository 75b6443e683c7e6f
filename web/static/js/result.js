/** One page for the whole life of a job. */
import { api } from "./api.js";
import { $, $$, pageData, showError } from "./dom.js";
import { redraw } from "./redraw.js";
import { showResult } from "./result_view.js";
import { sayTimes, seconds } from "./units.js";
import { Viewer } from "./viewer.js";

const POLL_MS = 2000;
const viewer = new Viewer($("#viewer"));
const items = {}; // name to the picture in the viewer
let job;
let heard; // when, s
let turn = Promise.resolve(); // news in turn: a panel asked for earlier may not undo what was heard since

const over = ({ state }) => state !== "queued" && state !== "running";
const fail = (error) => showError($("#job-error"), error);

function start() {
  ({ job } = pageData());
  heard = Date.now() / 1e3;
  const [, , width, height] = job.source.roi;
  viewer.pixelSize = job.source.pixel_size_um;
  sayTimes();
  $("#viewer-title").textContent = `${job.source.image_name} ${width} × ${height} px`;
  $("#log-block").ontoggle = () => $("#log-block").open && showLog();
  if ($("#cancel")) $("#cancel").onclick = () => act("cancel");
  if ($("#rerun")) $("#rerun").onclick = () => act("rerun");
  if (!items.original) items.original = viewer.open({ width, height }, { type: "image", url: job.links.original });
  if (job.result) showResult(job, viewer, items, fail).catch(fail);
  else if (over(job)) dropEarly();
  else showProgress();
}

/** The overlay arrives before the rest of the result. */
async function showEarly() {
  await items.original;
  if (job.links.overlay) items.overlay ??= viewer.open(viewer.size, { type: "image", url: job.links.overlay }, true);
}

/** What failed or was cancelled has no overlay, though one was shown; the next attempt's is another one, too. */
async function dropEarly() {
  const { overlay } = items;
  delete items.overlay;
  const item = await overlay?.catch(() => null);
  if (item) viewer.osd.world.removeItem(item);
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
  const { stage, label, fraction, message } = job.progress;
  $("#waiting-sentence").textContent = label + (message && `: ${message}`);
  $("#job-fraction").value = fraction;
  const stages = $$("#stages li");
  const now = stages.findIndex((item) => item.dataset.stage === stage);
  stages.forEach((item, index) => {
    item.classList.toggle("past", index < now);
    item.ariaCurrent = index === now ? "step" : null;
  });
  sayTime();
  if (job.links.overlay) showEarly();
  else dropEarly();
}

function sayTime() {
  if (!job || over(job) || !$("#waiting-time")) return;
  const { state, eta, attempt } = job;
  const now = Date.now() / 1e3;
  const say = (s) => seconds(Math.max(1, Math.round(s)));
  const [verb, since, start] = state === "running" ? ["Running", job.started_at, ""]
    : ["Waiting", job.created_at, `starts in about ${say(eta.start_s + heard - now)}, `];
  const expected = eta.end_s === null ? "" : `; ${start}done in about ${say(eta.end_s + heard - now)}`;
  $("#waiting-time").textContent = `${verb} for ${say(now - since)}${expected}${attempt > 1 ? `; attempt ${attempt}` : ""}`;
}

async function changed(next) {
  const before = job.state;
  job = next;
  heard = Date.now() / 1e3;
  fail(null);
  if (next.state !== before) await renew();
  else if (!over(next)) showProgress();
  if ($("#log-block").open) showLog();
}

/** The server draws the panel of each state; an open log stays open. */
async function renew() {
  const { open } = $("#log-block");
  await redraw("#result", location.pathname);
  $("#log-block").open = open;
  start();
}

function watch() {
  if (over(job)) return;
  const events = new EventSource(job.links.events);
  events.addEventListener("job", ({ data }) => (turn = turn.then(() => changed(JSON.parse(data))).catch(fail)));
  events.onopen = () => fail(null);
  events.onerror = () => {
    if (over(job)) events.close();
    else if (events.readyState === EventSource.CLOSED) poll();
    else fail({ message: "The connection is lost; trying again.", hint: "The job goes on without this page." });
  };
}

/** Too many streams are open: ask, then listen again. */
async function poll() {
  try {
    await changed(await api(`/jobs/${job.uuid}`));
  } catch (error) {
    fail(error);
    if (error.status === 404) return;
  }
  setTimeout(watch, POLL_MS);
}

async function showLog() {
  $("#log").textContent = (await api(job.links.log).catch((error) => error.message)) || "Nothing yet.";
}

start();
watch();
setInterval(sayTime, 1000);
