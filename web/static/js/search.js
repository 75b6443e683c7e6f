/** A search page: what is asked for is in the address; the server draws what it finds, and this puts it into the page. */
import { $, $$, settled } from "./dom.js";
import { morph } from "./morph.js";
import { length } from "./units.js";

const form = $("#search-form");
let asking; // what stops the request that is under way
let typing = false; // one step back undoes a whole word, not a letter

/** Take the page at `address` and draw its results and filters here. What is typed or scrolled stays. */
async function show(address, { fromServer = false } = {}) {
  asking?.abort();
  asking = new AbortController();
  $("#search-results").setAttribute("aria-busy", true);
  try {
    const answer = await fetch(address, { signal: asking.signal });
    if (!answer.ok) throw new Error();
    draw(new DOMParser().parseFromString(await answer.text(), "text/html"), fromServer);
  } catch (error) {
    if (error.name !== "AbortError") location.assign(address); // the browser says best what is wrong
  }
}

function draw(page, fromServer) {
  document.title = page.title;
  const focused = document.activeElement?.id;
  const link = document.activeElement?.closest("#search-results a");
  const count = $("#result-count");
  const told = $("#result-count", page).textContent;
  $("#search-results").replaceWith($("#search-results", page));
  // A reader is told of a change of what was there, not of what is new.
  $("#result-count").replaceWith(count);
  if (count.textContent !== told) count.textContent = told;
  for (const one of $$("#filters details[open]")) $(`[id="${one.parentElement.id}"] details`, page)?.setAttribute("open", "");
  morph(fromServer ? form : $("#filters"), $(fromServer ? "#search-form" : "#filters", page));
  if (fromServer) form.reset();
  for (const box of $$("#filters [type=checkbox]")) box.checked = box.defaultChecked;
  $(".show-filters").textContent = $(".show-filters", page).textContent;
  place();
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus();
  if (link) $$("#search-results a").find((one) => one.href === link.href && one.className === link.className)?.focus();
}

function asked() {
  const given = [...new FormData(form)].filter(([, value]) => value.trim());
  return given.length ? `${form.getAttribute("action")}?${new URLSearchParams(given)}` : form.getAttribute("action");
}

function go(address, replace = false) {
  if (address === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  show(address);
}

const typed = settled(() => {
  go(asked(), typing);
  typing = true;
}, 150);

document.addEventListener("input", ({ target }) => {
  if (target.form !== form || !target.name) return;
  if (target.matches("[type=checkbox], select")) {
    typing = false;
    go(asked());
  } else typed();
});
form.addEventListener("focusout", () => { typing = false; });
form.addEventListener("submit", (event) => {
  event.preventDefault();
  go(asked());
});
addEventListener("popstate", () => show(location.href, { fromServer: true }));

/** Pages, chips and ways out of an empty search are links to this page: they are followed without leaving it. */
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("#search-results a[href]");
  if (!link || link.pathname !== location.pathname || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  history.pushState(null, "", link.href);
  show(link.href, { fromServer: true }).then(() => {
    const top = $("#search-page");
    if (top.getBoundingClientRect().top < 0) top.scrollIntoView();
    const next = $(`#search-results a[rel=${link.rel || "none"}]`) || $("#search-results h2 a, #search-results h3 a");
    next?.focus({ preventScroll: true });
  });
});

/** Slash goes to the words; the arrows go from them through what was found, and back. */
addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (key === "/" && !target.matches("input:not([type=checkbox], [type=range]), textarea, select")) {
    event.preventDefault();
    $("#q").focus();
    $("#q").select();
  }
  const step = { ArrowDown: 1, ArrowUp: -1 }[key];
  const found = [$("#q"), ...$$("#search-results li h2 a")];
  const at = found.indexOf(target);
  if (!step || at < 0 || !found[at + step]) return;
  event.preventDefault();
  found[at + step].focus();
});

/** Pixel sizes by sliding: the slider goes by factors, from 1 nm to 100 µm, and writes into the two fields. */
const SMALLEST = 1e-3, FACTOR = 1e5;
const sliders = () => [$("#slide-from"), $("#slide-to")];
const atPercent = (percent) => SMALLEST * FACTOR ** (percent / 100);
const percentOf = (um) => Math.min(100, Math.max(0, Math.round((100 * Math.log(um / SMALLEST)) / Math.log(FACTOR))));

function tell() {
  for (const one of sliders()) one.setAttribute("aria-valuetext", length(atPercent(+one.value)));
  const [from, to] = sliders().map((one) => one.value);
  $(".double-slider").style.setProperty("--from", `${from}%`);
  $(".double-slider").style.setProperty("--to", `${to}%`);
}

/** The sliders stand where the fields do. */
function place() {
  const { low, high } = $("#pixel-range").dataset;
  const [from, to] = sliders();
  if (document.activeElement !== from) from.value = low ? percentOf(+low) : 0;
  if (document.activeElement !== to) to.value = high ? percentOf(+high) : 100;
  tell();
}

$("#filters").addEventListener("input", ({ target }) => {
  const [from, to] = sliders();
  if (target !== from && target !== to) return;
  if (+from.value > +to.value) target.value = (target === from ? to : from).value;
  const field = $(target === from ? "#pixel-from" : "#pixel-to");
  const end = target === from ? "0" : "100";
  field.value = target.value === end ? "" : length(atPercent(+target.value));
  tell();
  field.dispatchEvent(new Event("input", { bubbles: true }));
});
document.documentElement.classList.add("scripted");
place();
