/** The region on the picture: a rectangle with handles, moved by pointer or keys, always inside the image. */
import { h } from "./dom.js";
import { length } from "./units.js";

const LEAST = 8; // px
const HANDLES = [[0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1], [0.5, 1], [0, 1], [0, 0.5]];
const clamp = (value, low, high) => Math.min(Math.max(Math.round(value), low), Math.max(low, high));

export class Roi {
  /** `changed(roi, done)` is called with {x, y, width, height}; `done` when a drag has ended. */
  constructor(viewer, changed) {
    Object.assign(this, { viewer, changed, value: null, drawing: false });
    this.label = h("span", { class: "roi-size number" });
    this.element = h("div", { class: "roi", tabindex: 0, role: "group", "aria-roledescription": "region",
      keydown: (event) => this.#key(event), pointerdown: (event) => this.#grab(event) }, this.label);
    for (const [fx, fy] of HANDLES) {
      const handle = h("span", { class: "roi-handle", pointerdown: (event) => this.#grab(event, fx, fy) });
      Object.assign(handle.style, { left: `${fx * 100}%`, top: `${fy * 100}%`,
        cursor: fx === 0.5 ? "ns-resize" : fy === 0.5 ? "ew-resize" : fx === fy ? "nwse-resize" : "nesw-resize" });
      this.element.append(handle);
    }
    // Before OpenSeadragon sees it: a drag that draws a new region.
    viewer.element.addEventListener("pointerdown", (event) => {
      if (!this.value || !(this.drawing || event.shiftKey)) return;
      const from = viewer.locate(event);
      this.#follow(event, (to) => ({ x: Math.min(from.x, to.x), y: Math.min(from.y, to.y),
        width: Math.abs(to.x - from.x), height: Math.abs(to.y - from.y) }));
    }, true);
  }

  /** Put the region there, made to fit the image. */
  set({ x, y, width, height }, done = true) {
    const { size, osd } = this.viewer;
    const w = clamp(width, Math.min(LEAST, size.width), size.width);
    const t = clamp(height, Math.min(LEAST, size.height), size.height);
    this.value = { x: clamp(x, 0, size.width - w), y: clamp(y, 0, size.height - t), width: w, height: t };
    const { x: left, y: top } = this.value;
    const place = new window.OpenSeadragon.Rect(left / size.width, top / size.width, w / size.width, t / size.width);
    if (osd.getOverlayById(this.element)) osd.updateOverlay(this.element, place);
    else osd.addOverlay({ element: this.element, location: place });
    this.label.textContent = this.describe();
    this.element.setAttribute("aria-label", `Region ${this.describe()} at x ${left}, y ${top}. Arrows move it.`);
    this.changed(this.value, done);
  }

  /** "512 × 512 px, 166 × 166 µm" */
  describe() {
    const { width, height } = this.value;
    const um = this.viewer.pixelSize;
    return `${width} × ${height} px${um ? `, ${length(width * um)} × ${length(height * um)}` : ""}`;
  }

  remove() {
    this.value = null;
    this.viewer.osd.removeOverlay(this.element);
  }

  #key(event) {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    const [dx, dy] = move.map((step) => step * (event.shiftKey ? 32 : 1));
    const { x, y, width, height } = this.value;
    this.set(event.altKey ? { x, y, width: width + dx, height: height + dy } : { x: x + dx, y: y + dy, width, height });
  }

  #grab(event, fx, fy) {
    const start = { ...this.value };
    const from = this.viewer.locate(event);
    if (fx === undefined && this.#fillsView()) return; // nothing but region in sight: the drag moves the picture
    this.element.focus({ preventScroll: true });
    this.#follow(event, (to) => {
      const [dx, dy] = [to.x - from.x, to.y - from.y];
      if (fx === undefined) return { ...start, x: start.x + dx, y: start.y + dy };
      const [x, width] = stretch(start.x, start.width, dx, fx);
      const [y, height] = stretch(start.y, start.height, dy, fy);
      return { x, y, width, height };
    });
  }

  #follow(event, rectangle) {
    if (event.button) return;
    event.stopPropagation();
    event.preventDefault();
    const { width, height } = this.viewer.size;
    const move = (next) => {
      const { x, y } = this.viewer.locate(next);
      this.set(rectangle({ x: clamp(x, 0, width), y: clamp(y, 0, height) }), false);
    };
    const end = () => {
      removeEventListener("pointermove", move);
      this.changed(this.value, true);
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end, { once: true });
    addEventListener("pointercancel", end, { once: true });
  }

  #fillsView() {
    const [mine, view] = [this.element, this.viewer.element].map((element) => element.getBoundingClientRect());
    const whole = this.value.width === this.viewer.size.width && this.value.height === this.viewer.size.height;
    return whole || (mine.left <= view.left && mine.right >= view.right && mine.top <= view.top && mine.bottom >= view.bottom);
  }
}

/** One side of a stretched rectangle: `f` says which end is held (0 near, 1 far, 0.5 neither). */
function stretch(start, size, by, f) {
  if (f === 0.5) return [start, size];
  const [low, high] = f ? [start, start + size + by] : [start + by, start + size];
  return [Math.min(low, high), Math.abs(high - low)];
}
