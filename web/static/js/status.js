/** The status page: one sentence for the question "is it me or the service?", and the figures behind it. */
import { api } from "./api.js";
import { $, h } from "./dom.js";
import { seconds } from "./units.js";

const EVERY_MS = 5000;

function sentence({ beanstalkd, workers, queued }) {
  if (beanstalkd !== "ok") return ["down", "The queue does not answer. Nothing is lost: jobs go on when it is back."];
  if (!workers.length) return ["busy", "The service is up, but no worker is connected: jobs wait."];
  if (queued > workers.length) return ["busy", "All is well, and busy: new jobs wait for a while."];
  return ["well", "All is well."];
}

function say(lamp, text) {
  $("#status-sentence").replaceChildren(h("span", { class: `lamp ${lamp}`, "aria-hidden": true }), h("span", {}, text));
}

async function ask() {
  try {
    const status = await api("/status");
    say(...sentence(status));
    const figures = { workers: status.workers.length, running: status.running, queued: status.queued,
      oldest: status.oldest_s ? seconds(status.oldest_s) : "–" };
    for (const [name, value] of Object.entries(figures)) $(`[data-figure=${name}]`).textContent = value;
    $("#status-workers").replaceChildren(...(status.workers.length ? status.workers.map((worker) => h("tr", {},
      h("td", {}, worker.name), h("td", {}, worker.job ? "working" : "waiting for a job"),
      h("td", {}, `${seconds(Math.max(0, Date.now() / 1e3 - worker.seen_at))} ago`)))
      : [h("tr", {}, h("td", { colspan: 3 }, "No worker is connected."))]));
  } catch (error) {
    say("down", `${error.message} ${error.hint}`);
  }
  $("#status").setAttribute("aria-busy", false);
  setTimeout(ask, EVERY_MS);
}
ask();
