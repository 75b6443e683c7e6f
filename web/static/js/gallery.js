/** The gallery: searching and filtering without leaving the page, and a file dropped on it goes to the try page. */
import { $, settled } from "./dom.js";
import { redraw } from "./redraw.js";
import { acceptFiles } from "./drop.js";

const form = $("#gallery-filters");

/** The server draws the results of an address; they take the place of those that are shown. */
async function show(address) {
  $("#gallery-results").setAttribute("aria-busy", true);
  try {
    await redraw("#gallery-results", address);
  } catch {
    location.assign(address); // the browser says best what is wrong with the network
  }
}

const search = settled(() => {
  const asked = [...new FormData(form)].filter(([, value]) => value);
  const address = asked.length ? `/?${new URLSearchParams(asked)}` : "/";
  history.replaceState(null, "", address);
  show(address);
}, 150);

form.addEventListener("input", search);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.matches("input:not([type=checkbox])")) return;
  event.preventDefault();
  $("#q").focus();
});
acceptFiles({ input: $("#gallery-file"), progress: $(".drop-progress"), note: $(".drop-zone .error-note"),
  got: (image) => location.assign(`/try?image=${image.id}`) });
