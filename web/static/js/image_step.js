/** Step 1 of a preview: the image, its pixel size, planes, channels and contrast. */
import { api } from "./api.js";
import { $, $$, h, showError } from "./dom.js";
import { acceptFiles } from "./drop.js";
import { count, short } from "./units.js";

const TILE = 256;
const SOURCES = { file: "From the file. Correct it if it is wrong.", user: "As you gave it.",
  none: "Not in the file. Give it if you know it: sizes come in µm, and the model can resize." };

const bytes = (n) => n < 1e6 ? `${short(n / 1e3)} kB` : `${short(n / 1e6)} MB`;

/** `got(image)`: another image was chosen; `changed(part)`: plane, channels or pixel size were. */
export function imageStep({ state, viewer, got, changed }) {
  const note = $("#image-error");
  acceptFiles({ input: $("#file"), progress: $("#upload-progress"), note, got });
  for (const button of $$("[data-sample]")) {
    button.onclick = () => takeSample(button.dataset.sampleModel, Number(button.dataset.sample));
  }

  async function takeSample(model, sample) {
    try {
      got(await api("/images/from-sample", { json: { model, sample } }));
    } catch (error) {
      showError(note, error);
    }
  }

  async function listEarlier() {
    const { items } = await api("/images?size=12").catch(() => ({ items: [] }));
    $("#earlier").hidden = !items.length;
    $("#earlier-list").replaceChildren(...items.map((image) => h("li", {}, h("button",
      { class: "pick", type: "button", click: () => got(image) },
      h("img", { src: image.urls.thumbnail, alt: "", width: 56, height: 56, loading: "lazy" }),
      h("span", {}, h("strong", {}, image.name), h("span", { class: "hint" }, `${image.width} × ${image.height} px`))))));
  }

  $("#plane").oninput = ({ target }) => {
    state.plane = Number(target.value);
    sayPlane();
    changed("plane");
  };
  const sayPlane = () => { $("#plane-value").value = `${state.plane + 1} of ${state.image.planes}`; };

  function readPixelSize() {
    const input = $("#pixel-size");
    const um = Number(input.value.replace(",", ".")) * $("#pixel-unit").value;
    const wrong = !(um > 0 && um < 1e4) && input.value.trim() !== "";
    input.setAttribute("aria-invalid", wrong);
    showError(note, wrong && { message: `The pixel size is ${input.value}.`, hint: "Give a number above 0, or nothing." });
    if (!wrong) {
      Object.assign(state, { pixelSize: um || null, pixelSizeFrom: um ? "user" : "none" });
      sayPixelSize();
      changed("pixelSize");
    }
  }
  $("#pixel-size").onchange = $("#pixel-unit").onchange = readPixelSize;
  const sayPixelSize = () => { $("#pixel-size-hint").textContent = SOURCES[state.pixelSizeFrom]; };

  /** A choice of channels, or of one for each use that the model has. */
  function channels(model = null) {
    if (!state.image) return;
    const { rgb, channels: many, channel_names: names } = state.image;
    const uses = model && many > 1 ? model.dataset.roles.split(",").slice(0, many) : null;
    if (state.byRole && !uses) state.channels = null;
    if (uses && state.channels?.length !== uses.length) state.channels = [...uses.keys()];
    state.byRole = uses ? model.value : null;
    const name = (index) => names[index] || (rgb ? ["Red", "Green", "Blue"][index] : `Channel ${index + 1}`);
    const all = [...Array(many).keys()];
    $("#channels").hidden = many < 2 || (rgb && !uses);
    $("#channel-chips").replaceChildren(...(uses ? uses.map((use, at) => h("label", { class: "chip" }, `${use[0].toUpperCase()}${use.slice(1)}`,
      h("select", { change: pickUses }, ...all.map((index) => h("option", { value: index, selected: state.channels[at] === index }, name(index))))))
      : all.map((index) => {
        const box = h("input", { type: "checkbox", value: index, change: pickChannels });
        box.checked = !state.channels || state.channels.includes(index);
        return h("label", { class: "chip" }, box, name(index));
      })));
  }
  function pickUses() {
    state.channels = $$("#channel-chips select").map(({ value }) => Number(value));
    changed("channels");
  }
  function pickChannels() {
    const chosen = $$("#channel-chips :checked").map(({ value }) => Number(value));
    state.channels = chosen.length && chosen.length < $$("#channel-chips input").length ? chosen : null;
    changed("channels");
  }

  $("#brightness").oninput = $("#contrast").oninput = () => {
    viewer.osd.drawer.canvas.style.filter = `brightness(${$("#brightness").value}) contrast(${$("#contrast").value})`;
  };

  /** Show what `state.image` is. */
  function show() {
    const { image } = state;
    const size = `${image.width} × ${image.height} px`;
    showError(note, null);
    $("#image-summary").textContent = image.name;
    $("#viewer-title").replaceChildren(h("strong", {}, image.name), ` ${size}`);
    $("#image-facts").hidden = false;
    $("#image-line").textContent = [size, image.dtype, image.rgb ? "colour" : count(image.channels, "channel"),
      image.planes > 1 && count(image.planes, "plane"), image.format, bytes(image.bytes),
      image.origin && `from ${image.origin.origin}, ${image.origin.licence}`].filter(Boolean).join(", ");
    const um = state.pixelSize;
    $("#pixel-unit").value = um && um < 0.1 ? "0.001" : "1";
    $("#pixel-size").value = um ? Number((um / $("#pixel-unit").value).toPrecision(6)) : "";
    sayPixelSize();
    $("#plane-control").hidden = image.planes < 2;
    Object.assign($("#plane"), { max: image.planes - 1, value: state.plane });
    sayPlane();
    channels();
    $("#samples").open = false;
    $("#step-image").classList.add("ready");
    $("#step-image").open = !um;
    $("#viewer-empty").replaceChildren();
  }
  /** Show the plane in tiles. */
  function tiles() {
    const { image, plane, byRole, channels: some } = state;
    const url = image.urls.tiles.replace("{plane}", plane).replace(/(channels=)[^&]*/, `$1${some && !byRole ? some.join(",") : ""}`);
    const { width, height } = image;
    return viewer.open(image, { width, height, tileSize: TILE, minLevel: 0, maxLevel: Math.ceil(Math.log2(Math.max(width, height))),
      getTileUrl: (level, x, y) => url.replace("{level}", level).replace("{x}", x).replace("{y}", y),
    });
  }

  listEarlier();
  return { show, takeSample, tiles, channels };
}
