/** The page of a check: how far it is while it runs; the server draws its report when it is over. */
import { api } from "./api.js";
import { $, $$, pageData, showError } from "./dom.js";
import { redraw } from "./redraw.js";
import { sayTimes } from "./units.js";

const POLL_MS = 3000;
const over = ({ state }) => !["queued", "running"].includes(state);
let seen = pageData();
let turn = Promise.resolve();

function showStage(stage) {
  const stages = $$("#stages li");
  const now = stages.findIndex((item) => item.dataset.stage === stage);
  stages.forEach((item, index) => {
    item.classList.toggle("past", index < now);
    item.ariaCurrent = index === now ? "step" : null;
  });
}

async function changed(job) {
  showError($("#check-error"), null);
  if (job.state !== seen.state) {
    seen = { ...seen, state: job.state };
    await redraw("#check", location.pathname);
    sayTimes();
  }
  if (over(job) || !$("#waiting-sentence")) return;
  const { stage, label, fraction, message } = job.progress;
  $("#waiting-sentence").textContent = label + (message && `: ${message}`);
  $("#job-fraction").value = fraction;
  showStage(stage);
}

const fail = (error) => showError($("#check-error"), error);

function watch() {
  if (over(seen)) return;
  const events = new EventSource(seen.events);
  events.addEventListener("job", ({ data }) => {
    const job = JSON.parse(data);
    if (over(job)) events.close();
    turn = turn.then(() => changed(job)).catch(fail);
  });
  events.onerror = () => {
    if (over(seen)) events.close();
    else if (events.readyState === EventSource.CLOSED) poll();
    else fail({ message: "The connection is lost; trying again.", hint: "The check goes on without this page." });
  };
}

/** Too many streams are open: ask, then listen again. */
async function poll() {
  try {
    await changed(await api(seen.self));
  } catch (error) {
    fail(error);
    if (error.status === 404) return;
  }
  setTimeout(watch, POLL_MS);
}

sayTimes();
showStage(seen.stage);
watch();
