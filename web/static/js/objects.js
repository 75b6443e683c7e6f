/** The objects of a result: table, histogram of areas, outlines on the picture; each points to the others. */
import { api } from "./api.js";
import { $, $$, h, svg } from "./dom.js";
import { area, count, number } from "./units.js";

const BARS = 14;
const ROWS = 200;
const COMPARE = { "<": (a, b) => a < b, ">": (a, b) => a > b, "=": (a, b) => a === b };
const TITLES = { area_px: "area px", area_um2: "area µm²", centroid_x: "x px", centroid_y: "y px", perimeter_px: "perimeter px" };

/** Fetch and show the objects of `job`; coordinates are the image's, the picture starts at the region's corner. */
export async function showObjects(job, viewer) {
  const url = (name) => job.result.files.find((file) => file.name === name).url;
  const [table, shapes] = await Promise.all([api(url("objects.csv")), api(url("objects.geojson"))]);
  const [head, ...lines] = table.trim().split(/\r?\n/).map((line) => line.split(","));
  const objects = lines.map((line) => Object.fromEntries(head.map((name, i) => [name, line[i] === "" || Number.isNaN(Number(line[i])) ? line[i] : Number(line[i])])));
  const [left, top] = job.source.roi;
  const ring = (points) => `M${points.map(([x, y]) => `${x - left} ${y - top}`).join("L")}Z`;
  const outline = ({ type, coordinates }) => (type === "Polygon" ? [coordinates] : coordinates).flat().map(ring).join("");
  const paths = new Map((typeof shapes === "string" ? JSON.parse(shapes) : shapes).features
    .map((feature) => [Number(feature.properties.id ?? feature.id), outline(feature.geometry)]));
  const size = "area_um2" in (objects[0] || {}) && objects[0].area_um2 !== "" ? "area_um2" : "area_px";
  const columns = head.filter((name) => !/^([xy]_m|class$)/.test(name));
  columns.splice(1, 0, ...columns.splice(columns.indexOf(size), 1));
  const view = { sort: "id", down: false, bar: null, chosen: null };
  const bins = divide(objects.map((object) => object[size]));

  const say = (value) => (size === "area_um2" ? area(value) : `${number(Math.round(value))} px`);
  const word = job.result.summary.object || "object";
  $("#object-count").textContent = count(objects.length, word);
  drawHistogram();
  $("#object-head").replaceChildren(...columns.map((name) => h("th", { scope: "col" },
    h("button", { type: "button", click: () => sortBy(name) }, TITLES[name] || name.replaceAll("_", " ")))));

  function divide(areas) {
    const [low, high] = [Math.min(...areas), Math.max(...areas)];
    const step = (high - low) / BARS || 1;
    const bars = Array.from({ length: BARS }, (_, i) => ({ from: low + i * step, to: low + (i + 1) * step, n: 0 }));
    for (const value of areas) bars[Math.min(BARS - 1, Math.floor((value - low) / step))].n += 1;
    return bars;
  }

  function drawHistogram() {
    if (!objects.length) return;
    const most = Math.max(...bins.map(({ n }) => n));
    $("#histogram").replaceChildren(...bins.map((bar) => {
      const fill = h("span");
      fill.style.height = `${(bar.n / most) * 100}%`;
      return h("button", { type: "button", "aria-pressed": false, title: `${say(bar.from)} to ${say(bar.to)}: ${bar.n}`,
        "aria-label": `${count(bar.n, word)} of ${say(bar.from)} to ${say(bar.to)}`, click: () => pick(bar) }, fill);
    }));
    $("#histogram-axis").replaceChildren(...[say(bins[0].from), "area", say(bins.at(-1).to)].map((text) => h("span", {}, text)));
  }

  function pick(bar) {
    view.bar = view.bar === bar ? null : bar;
    draw();
  }
  function sortBy(name) {
    view.down = view.sort === name ? !view.down : name !== "id";
    view.sort = name;
    draw();
  }

  function matching() {
    const asked = $("#object-filter").value.trim();
    const [, name, sign, value] = asked.match(/^(\w+)\s*([<>=])\s*([\d.]+)$/) || [];
    return objects.filter((object) => {
      const inBar = !view.bar || bins.indexOf(view.bar) === Math.min(BARS - 1, bins.findLastIndex(({ from }) => object[size] >= from));
      if (!asked || !inBar) return inBar;
      return name ? COMPARE[sign](object[name], Number(value)) : [object.id, object.class].map(String).some((text) => text === asked);
    });
  }

  function draw() {
    const { sort, down } = view;
    const found = matching().sort((one, other) => (one[sort] < other[sort] ? -1 : 1) * (down ? -1 : 1));
    $("#object-rows").replaceChildren(...found.slice(0, ROWS).map((object) => h("tr", { tabindex: 0, "data-id": object.id,
      "aria-selected": object.id === view.chosen, mouseenter: () => light(object.id), mouseleave: () => light(view.chosen),
      focus: () => light(object.id), blur: () => light(view.chosen), click: () => choose(object),
      keydown: (event) => event.key === "Enter" && choose(object) },
      ...columns.map((name) => h("td", {}, typeof object[name] === "number" ? number(object[name]) : object[name])))));
    $$("#object-head th").forEach((cell, i) => cell.setAttribute("aria-sort", columns[i] !== sort ? "none" : down ? "descending" : "ascending"));
    $$("#histogram button").forEach((button, i) => button.setAttribute("aria-pressed", bins[i] === view.bar));
    $("#histogram").classList.toggle("filtered", Boolean(view.bar));
    const filtered = found.length !== objects.length;
    $("#object-clear").hidden = !filtered;
    $("#object-shown").textContent = [filtered && `${found.length} of ${objects.length}`,
      found.length > ROWS && `the first ${ROWS} are listed; sort or filter to see others`].filter(Boolean).join("; ");
    if (!objects.length) $("#object-shown").textContent = "Nothing was found. Try a lower threshold, or another model.";
  }

  function light(id) {
    const d = paths.get(id);
    viewer.shapes.replaceChildren(...(d ? ["halo", id === view.chosen ? "line chosen" : "line"].map((name) => svg("path", { d, class: name })) : []));
  }

  function choose(object) {
    view.chosen = object.id;
    $$("#object-rows tr").forEach((row) => row.setAttribute("aria-selected", Number(row.dataset.id) === object.id));
    light(object.id);
    viewer.zoomTo({ x: object.x_min - left, y: object.y_min - top, width: object.x_max - object.x_min, height: object.y_max - object.y_min }, 1.5);
  }

  // A click on the picture finds the object under it.
  const pen = document.createElement("canvas").getContext("2d");
  viewer.osd.addHandler("canvas-click", ({ quick, originalEvent }) => {
    const { x, y } = viewer.locate(originalEvent);
    const [id] = [...paths].find(([, d]) => quick && pen.isPointInPath(new Path2D(d), x, y, "evenodd")) || [null];
    view.chosen = id;
    light(id);
    draw();
    $(`#object-rows tr[data-id="${id}"]`)?.scrollIntoView({ block: "nearest" });
  });
  $("#object-filter").oninput = draw;
  $("#object-clear").onclick = () => {
    view.bar = null;
    $("#object-filter").value = "";
    draw();
  };
  draw();
}
