/** How a finished result is looked at: the layer, how objects are drawn, which classes, from which score on. */
import { api } from "./api.js";
import { $, $$, settled } from "./dom.js";
import { ObjectLayer } from "./object_layer.js";
import { objectTable } from "./object_table.js";
import { Objects } from "./objects.js";
import { number } from "./units.js";

const LAYERS = ["original", "probability", "mask", "overlay"];
const STYLES = ["outlines", "filled", "off"];
const WITH_OBJECTS = ["probability", "overlay"];

/** `items` holds pictures of the viewer by name, with the original among them; `fail(error)` says what went wrong. */
export async function showResult(job, viewer, items, fail) {
  const { legend, layers } = job.result;
  const [, , width, height] = job.source.roi;
  let [layer, { map }, blinking] = ["overlay", legend, false];
  const open = (url) => viewer.open({ width, height }, { type: "image", url }, true);
  let drawn; // the objects on the picture, once they are read

  /** The pictures over the original, by name; the overlay's file stands in until its objects are drawn. */
  const wanted = () => ({ original: [], mask: ["mask"], probability: [`probability ${map}`],
    overlay: [!drawn && items.overlay && "overlay", $("#membrane")?.checked && `tint ${legend.map}`] })[layer].filter(Boolean);

  async function show() {
    $(`[name=layer][value=${layer}]`).checked = true;
    $("#map-field").hidden = layer !== "probability" || legend.maps.length < 2;
    await items.original;
    for (const name of wanted()) {
      const [kind, number] = name.split(" ");
      items[name] ??= open(layers[kind] + (number ? `?map=${number}` : ""));
      await items[name].catch(() => fail({ message: `The ${kind} could not be loaded.`, hint: "Try again." }));
    }
    blend();
  }

  async function blend() {
    const opacity = $("#opacity").value / 100;
    $("#opacity-value").value = `${$("#opacity").value} %`;
    const now = blinking ? [] : wanted();
    for (const [name, item] of Object.entries(items)) {
      if (name !== "original") (await item.catch(() => null))?.setOpacity(now.includes(name) ? opacity : 0);
    }
    drawn?.set({ on: WITH_OBJECTS.includes(layer) && !blinking });
    if (drawn) drawn.canvas.style.opacity = layer === "overlay" ? opacity : 1;
  }

  function choose(name) {
    layer = name;
    show();
  }

  function style(name) {
    $(`[name=style][value=${name}]`).checked = true;
    drawn?.set({ style: name });
    if (!WITH_OBJECTS.includes(layer)) choose("overlay");
  }

  for (const input of $$("[name=layer]")) input.onchange = () => choose(input.value);
  for (const input of $$("[name=style]")) input.onchange = () => style(input.value);
  $("#opacity").oninput = blend;
  $("#map").onchange = ({ target }) => {
    map = Number(target.value);
    show();
  };
  $("#labels").onchange = ({ target }) => drawn?.set({ labels: target.checked });
  if ($("#membrane")) $("#membrane").onchange = show;
  const press = { o: () => style(STYLES[(STYLES.indexOf($("[name=style]:checked").value) + 1) % 3]), l: () => $("#labels").click(), m: () => $("#membrane")?.click(),
    " ": () => { blinking = !blinking; blend(); } };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input[type=search], select")) return;
    if (LAYERS[event.key - 1]) choose(LAYERS[event.key - 1]);
    if (!press[event.key] || (event.key === " " && event.target.matches("button, summary, a, [type=checkbox]"))) return;
    event.preventDefault();
    press[event.key]();
  });
  show();

  const objects = await api(job.result.objects).then((found) => new Objects(found, legend, job.source.roi)).catch((error) => {
    items.overlay ??= open(layers.overlay);
    show();
    throw error;
  });
  await items.original;
  drawn = new ObjectLayer(viewer, objects);
  drawn.set({ style: $("[name=style]:checked").value, labels: $("#labels").checked });
  objectTable(objects, drawn);
  blend();
  scoreField(objects);
  for (const box of $$("[name=class]")) {
    box.onchange = () => objects.set({ off: new Set($$("[name=class]:not(:checked)").map((each) => each.value)) });
  }
  objects.watch(() => say(objects));
}

/** What is shown of what was found, by class and in all. */
function say({ shape, rows, shown, counts, classes }) {
  for (const box of $$("[name=class]")) {
    const all = rows.filter((row) => row.class === box.value).length;
    const sure = counts.get(box.value)?.length || 0;
    $(".count", box.closest("label")).textContent = sure < all ? `${number(sure)} of ${number(all)}` : number(all);
  }
  const words = shape === "points" ? classes.filter(({ name }) => rows.some((row) => row.class === name)).reverse()
    : classes.length === 1 ? classes : [{ objects: "objects" }];
  $("#object-count").textContent = words.map(({ name, objects }) => {
    const [some, all] = [shown, rows].map((list) => list.filter((row) => !name || row.class === name).length);
    return `${some < all ? `${number(some)} of ` : ""}${number(all)} ${all === 1 && name ? name : objects}`;
  }).join(" in ") || "0 objects";
}

/** The slider of scores runs over those that there are. */
function scoreField(objects) {
  const [slider, told, [min, max]] = [$("#score"), $("#score-value"), objects.scores || [0, 1]];
  slider.disabled = !objects.scores;
  Object.assign(slider, { min, max, value: min });
  const apply = settled(() => objects.set({ least: Number(slider.value) > min ? Number(slider.value) : 0 }), 30);
  slider.oninput = () => {
    told.value = Number(slider.value).toFixed(2);
    apply();
  };
  told.value = min.toFixed(2);
}
