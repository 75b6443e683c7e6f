/** The objects in numbers: a table, and the histogram of one measure, whose bars filter. */
import { $, $$, h } from "./dom.js";
import { number } from "./units.js";

const BARS = 14;
const ROWS = 200; // listed at once; more come as the list is scrolled

/** `layer` draws the objects; choosing a row goes there. */
export function objectTable(objects, layer) {
  const { shape, rows, measures } = objects;
  const [body, measure, tableOf, filter] = [$("#object-rows"), $("#measure"), $("#table-of"), $("#object-filter")];
  let [sort, down] = ["id", false];
  let [found, columns, first] = [[], [], 0]; // rows of the table, its columns, the row that the list starts with

  const ofTable = (row) => !tableOf.value || row.class === tableOf.value;
  const has = (name) => rows.some((row) => ofTable(row) && row[name] != null);

  function divide(values, { length } = values) {
    const low = values.reduce((one, other) => Math.min(one, other), Infinity);
    const high = values.reduce((one, other) => Math.max(one, other), -Infinity);
    const whole = values.every(Number.isInteger) && high - low < BARS;
    const count = whole ? high - low + 1 : BARS;
    const step = whole ? 1 : (high - low) / BARS || 1;
    const bars = Array.from({ length: length && count }, (_, i) => ({ from: low + i * step, to: low + (i + 1) * step, n: 0, last: i === count - 1 }));
    for (const value of values) bars[Math.min(count - 1, Math.floor((value - low) / step))].n += 1;
    return bars.map((bar) => ({ ...bar, says: whole ? number(bar.from) : `${number(bar.from)} to ${number(bar.to)}` }));
  }

  function drawHistogram() {
    const { bar, listed } = objects;
    const bars = divide(listed.filter(ofTable).map((row) => row[objects.measure]).filter((value) => value != null));
    const most = Math.max(1, ...bars.map(({ n }) => n));
    const at = $$("#histogram button").indexOf(document.activeElement);
    $("#histogram").replaceChildren(...bars.map((one) => {
      const [fill, pressed, says] = [h("span"), bar?.from === one.from, `${objects.title(objects.measure)} ${one.says}`];
      fill.style.height = `${(one.n / most) * 100}%`;
      return h("button", { type: "button", "aria-pressed": `${pressed}`, title: `${says}: ${one.n}`, "aria-label": `${one.n} with ${says}`,
        click: () => objects.set({ bar: pressed ? null : one }) }, fill);
    }));
    $$("#histogram button")[at]?.focus();
    $("#histogram").classList.toggle("filtered", Boolean(bar));
    $("#histogram-axis").replaceChildren(...(bars.length ? [bars[0].says.split(" ")[0], bars.at(-1).says.split(" ").at(-1)] : ["none"]).map((end) => h("span", {}, end)));
  }

  function drawTable() {
    const all = objects.listed.filter(ofTable);
    found = objects.shown.filter(ofTable);
    columns = objects.columns.filter((name) => !/^[xy]_m/.test(name) && (name !== "class" || (!tableOf.value && objects.classes.length > 1)) && has(name));
    if (has(objects.measure)) columns.splice(1, 0, ...columns.splice(columns.indexOf(objects.measure), 1));
    if (sort !== "id" || down) found.sort(({ [sort]: one }, { [sort]: other }) => (one < other ? -1 : one > other) * (down ? -1 : 1));
    $("#object-head").replaceChildren(...columns.map((name) => h("th", { scope: "col", "aria-sort": name !== sort ? "none" : down ? "descending" : "ascending" },
      h("button", { type: "button", click: () => sortBy(name) }, objects.title(name)))));
    const at = found.indexOf(layer.chosen);
    first = at < ROWS ? 0 : at - ROWS / 2;
    body.replaceChildren();
    more();
    (body.querySelector("[aria-selected=true]") || body.firstChild)?.setAttribute("tabindex", 0);
    $("#object-clear").hidden = !objects.bar && !objects.text;
    $("#object-shown").textContent = !rows.length ? "Nothing was found. Try a lower threshold, or another model."
      : found.length < all.length ? `${number(found.length)} of ${number(all.length)} are listed.` : "";
  }

  function more() {
    const from = first + body.children.length;
    body.append(...found.slice(from, from + ROWS).map((row) => h("tr", { tabindex: -1, "data-id": row.id, "aria-selected": `${row === layer.chosen}` },
      ...columns.map((name) => h("td", {}, typeof row[name] === "number" ? number(row[name]) : row[name])))));
  }

  function sortBy(name) {
    down = sort === name ? !down : name !== "id";
    sort = name;
    drawTable();
    $$("#object-head button")[columns.indexOf(name)].focus();
  }

  const rowOf = ({ target }) => found[first + [...body.children].indexOf(target.closest("tr"))];
  function choose(event) {
    const row = rowOf(event);
    layer.choose(row, true);
    for (const line of body.children) line.setAttribute("aria-selected", line.dataset.id === String(row.id));
    focus(event.target.closest("tr"));
  }
  /** Rows are one stop of the Tab key; arrows go from one to the next. */
  function focus(line) {
    body.querySelector("[tabindex='0']")?.setAttribute("tabindex", -1);
    line.setAttribute("tabindex", 0);
    line.focus();
  }
  body.onclick = choose;
  for (const name of ["mouseover", "focusin"]) body.addEventListener(name, (event) => layer.light(rowOf(event)));
  for (const name of ["mouseleave", "focusout"]) body.addEventListener(name, () => layer.light());
  body.onkeydown = (event) => {
    const next = { ArrowDown: event.target.nextSibling, ArrowUp: event.target.previousSibling }[event.key];
    if (next) event.preventDefault();
    if (next) focus(next);
    if (event.key === "Enter") choose(event);
  };
  $(".object-table").onscroll = ({ target }) => target.scrollTop + target.clientHeight > target.scrollHeight - 200 && more();
  layer.picked = (row) => {
    if (row && !ofTable(row)) tableOf.value = row.class;
    layer.choose(row);
    drawTable();
    body.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  };

  const choices = () => {
    if (!has(objects.measure)) objects.measure = measures.find(has);
    measure.replaceChildren(...measures.filter(has).map((name) => h("option", { value: name, selected: name === objects.measure }, objects.title(name))));
  };
  if (shape === "points") tableOf.value = rows.find((row) => !row.point)?.class || "";
  choices();
  measure.onchange = () => objects.set({ measure: measure.value, bar: null });
  tableOf.onchange = () => {
    choices();
    objects.set({ bar: null });
  };
  filter.oninput = () => objects.set({ text: filter.value.trim() });
  $("#object-clear").onclick = () => {
    filter.value = "";
    objects.set({ bar: null, text: "" });
  };
  objects.watch(() => {
    drawHistogram();
    drawTable();
  });
}
