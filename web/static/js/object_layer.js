/** Objects on the picture: outlines, boxes, spots with counts, on a canvas over the viewer; only what is in view. */
import { $, h, settled, svg } from "./dom.js";
import { number } from "./units.js";

const DASHES = [[], [7, 3], [2, 3], [8, 3, 2, 3]]; // by class: meaning is never in colour alone
const LIVE = 400; // objects; so many are drawn anew while the picture moves
const REST_MS = 90;
const STROKED = 1500; // objects; so many have smooth lines and dark edges
const LABEL_PX = 24; // least width of an object with its number on it
const probe = document.createElement("canvas").getContext("2d");

export class ObjectLayer {
  constructor(viewer, objects) {
    const { element, osd } = viewer;
    Object.assign(this, { viewer, objects, style: "outlines", labels: false, on: true, chosen: null });
    this.canvas = h("canvas", { class: "object-layer", "aria-hidden": "true" });
    this.tip = h("p", { class: "object-tip number", hidden: true });
    $(".outline-layer").before(this.canvas);
    element.append(this.tip);
    this.rest = settled(() => this.draw(), REST_MS);
    osd.addHandler("update-viewport", () => this.#moved());
    osd.addHandler("resize", () => this.draw());
    element.addEventListener("pointermove", (event) => this.#hover(event), true);
    element.addEventListener("pointerleave", () => this.#say(null));
    osd.addHandler("canvas-click", ({ quick, originalEvent }) => quick && this.picked(this.at(viewer.locate(originalEvent))));
    objects.watch(() => this.draw());
  }

  /** Change {style, labels, on}. */
  set(what) {
    Object.assign(this, what);
    this.draw();
  }

  /** Many objects move along with the picture as they are, and are drawn anew once it rests. */
  #moved() {
    if (this.canvas.dataset.drawn < LIVE) return this.draw();
    const { scale, corner: { x, y } } = this.viewer;
    const k = scale / this.drawn.scale;
    this.canvas.style.transform = `translate(${x - this.drawn.x * k}px, ${y - this.drawn.y * k}px) scale(${k})`;
    return this.rest();
  }

  draw() {
    const { canvas, objects, viewer: { scale, corner: { x, y }, element: { clientWidth: width, clientHeight: height } } } = this;
    const ratio = Math.min(devicePixelRatio, 2);
    this.drawn = { scale, x, y };
    canvas.style.transform = "";
    Object.assign(canvas, { width: width * ratio, height: height * ratio }); // clears it, too
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const seen = !this.on || this.style === "off" ? [] : objects.shown.filter(({ box }) =>
      box[2] * scale + x > 0 && box[0] * scale + x < width && box[3] * scale + y > 0 && box[1] * scale + y < height);
    canvas.dataset.drawn = seen.length;
    if (seen.length > STROKED) this.#plot(pen, seen, ratio);
    else this.#stroke(pen, seen);
    if (this.labels) this.#write(pen, seen);
  }

  /** Smooth lines, with a dark edge where nothing is filled. */
  #stroke(pen, seen) {
    const { scale, x, y } = this.drawn;
    const wide = (px) => px / scale;
    pen.save();
    pen.translate(x, y);
    pen.scale(scale, scale);
    pen.lineJoin = "round";
    for (const row of seen) {
      const path = pathOf(row);
      const dash = row.point ? [] : DASHES[row.kind % DASHES.length].map(wide);
      Object.assign(pen, { fillStyle: `${row.colour}${row.point ? "cc" : "66"}`, strokeStyle: "#0009", lineWidth: wide(3.5) });
      pen.setLineDash([]);
      if (this.style === "filled") pen.fill(path, "evenodd");
      else pen.stroke(path);
      pen.setLineDash(dash);
      Object.assign(pen, { strokeStyle: row.colour, lineWidth: wide(2) }).stroke(path);
    }
    pen.restore();
  }

  /** Lines of one pixel; filled: also what lies between them in a row. */
  #plot(pen, seen, ratio) {
    const { canvas: { width, height }, drawn: { scale, x, y } } = this;
    const image = pen.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const [k, left, top] = [scale * ratio, x * ratio, y * ratio];
    const [low, high] = [new Int32Array(height), new Int32Array(height)]; // the ends of an object in each row
    for (const { box, rings, colour } of seen) {
      const ink = parseInt(colour.replace(/#(..)(..)(..)/, "$3$2$1"), 16);
      const [first, end] = [Math.max(0, Math.floor(box[1] * k + top)), Math.min(height, Math.ceil(box[3] * k + top) + 1)];
      low.fill(width, first, end);
      high.fill(0, first, end);
      for (const ring of rings || [corners(box)]) {
        let [px, py] = [ring.at(-2) * k + left, ring.at(-1) * k + top];
        for (let i = 0; i < ring.length; i += 2) {
          const [cx, cy] = [ring[i] * k + left, ring[i + 1] * k + top];
          const steps = Math.ceil(Math.max(Math.abs(cx - px), Math.abs(cy - py)));
          for (let step = 0; step < steps; step += 1) {
            const [qx, qy] = [Math.floor(px + ((cx - px) * step) / steps), Math.floor(py + ((cy - py) * step) / steps)];
            if (qx < 0 || qy < 0 || qx >= width || qy >= height) continue;
            pixels[qy * width + qx] = ink | 0xff000000;
            low[qy] = Math.min(low[qy], qx);
            high[qy] = Math.max(high[qy], qx);
          }
          [px, py] = [cx, cy];
        }
      }
      for (let qy = first; this.style === "filled" && qy < end; qy += 1) {
        for (let at = qy * width + low[qy]; at < qy * width + high[qy]; at += 1) pixels[at] ||= ink | 0x66000000;
      }
    }
    pen.putImageData(image, 0, 0);
  }

  /** Spots of a cell, score of a box, id of a region. */
  #write(pen, seen) {
    const { drawn: { scale, x, y }, objects: { shape } } = this;
    Object.assign(pen, { font: "600 12px system-ui, sans-serif", textAlign: "center", textBaseline: "middle", fillStyle: "#fff", strokeStyle: "#000c", lineWidth: 3 });
    for (const row of seen.filter(({ box, point }) => !point && (box[2] - box[0]) * scale > LABEL_PX)) {
      const [x0, y0, x1, y1] = row.box;
      const text = { points: row.spots ?? "", boxes: row.score.toFixed(2) }[shape] ?? row.id;
      const at = [((x0 + x1) / 2) * scale + x, shape === "boxes" ? y0 * scale + y - 8 : ((y0 + y1) / 2) * scale + y];
      pen.strokeText(text, ...at);
      pen.fillText(text, ...at);
    }
  }

  /** The smallest shown object at a point of the picture, spots before all others; or null. */
  at({ x, y }) {
    let [found, least] = [null, Infinity];
    for (const row of this.on && this.style !== "off" ? this.objects.shown : []) {
      const [x0, y0, x1, y1] = row.box;
      const reach = row.point ? 4 / this.viewer.scale : 0;
      const size = row.point ? Math.hypot(x - (x0 + x1) / 2, y - (y0 + y1) / 2) - 1e9 : (x1 - x0) * (y1 - y0);
      if (x < x0 - reach || x > x1 + reach || y < y0 - reach || y > y1 + reach || size >= least) continue;
      if (!row.rings || probe.isPointInPath(pathOf(row), x, y, "evenodd")) [found, least] = [row, size];
    }
    return found;
  }

  #hover({ buttons, clientX, clientY }) {
    const { viewer, tip } = this;
    const row = buttons ? null : this.at(viewer.locate({ clientX, clientY }));
    if (row !== this.under) this.#say(row);
    const { left, top, width, height } = viewer.element.getBoundingClientRect();
    tip.style.translate = `${Math.min(clientX - left + 14, width - tip.offsetWidth - 4)}px ${Math.min(clientY - top + 16, height - tip.offsetHeight - 4)}px`;
  }

  #say(row) {
    const { measure } = this.objects;
    this.under = row;
    this.tip.hidden = !row;
    this.light(row);
    if (row) this.tip.textContent = [`${row.class} ${row.id}`, row.score != null && `score ${row.score.toFixed(2)}`,
      measure !== "score" && row[measure] != null && `${this.objects.title(measure)} ${number(row[measure])}`, row.cell && `in cell ${row.cell}`].filter(Boolean).join(" · ");
  }

  /** Light one object, or the chosen one when there is none. */
  light(row) {
    const lit = row || this.chosen;
    this.viewer.shapes.replaceChildren(...(lit ? ["halo", lit === this.chosen ? "line chosen" : "line"].map((name) => svg("path", { d: outline(lit), class: name })) : []));
  }

  /** Choose an object; `zoom` brings it into view. */
  choose(row, zoom) {
    this.chosen = row;
    this.light();
    if (!zoom) return;
    const [x, y, x1, y1] = row.box;
    this.viewer.zoomTo({ x, y, width: x1 - x, height: y1 - y }, row.point ? 6 : 1.5);
  }
}

/** The outline of an object as an SVG path, in pixels of the picture. */
function outline({ box, rings, point }) {
  const [x0, y0, x1, y1] = box;
  const r = (x1 - x0) / 2;
  if (point) return `M${x0} ${(y0 + y1) / 2}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`;
  return (rings || [corners(box)]).map((ring) => `M${ring.join(" ")}Z`).join("");
}

const pathOf = (row) => (row.path ??= new Path2D(outline(row)));
const corners = ([x0, y0, x1, y1]) => [x0, y0, x1, y0, x1, y1, x0, y1];
