/** The status page: the server draws it anew every few seconds; when it does not answer, that is the answer. */
import { $ } from "./dom.js";
import { redraw } from "./redraw.js";

const EVERY_MS = 5000;

async function ask() {
  try {
    await redraw("#status", "/status");
  } catch {
    $("#status .lamp").className = "lamp down";
    $("#status-sentence").textContent = "Zooscope does not answer. Check the network, or that the service runs.";
  }
  setTimeout(ask, EVERY_MS);
}
setTimeout(ask, EVERY_MS);
