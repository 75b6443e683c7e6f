/** The picture: OpenSeadragon with true pixels when close, a scale bar, and an SVG layer in image coordinates. */
import { $, svg } from "./dom.js";
import { length } from "./units.js";

const MARGIN = 20; // room around the picture, where the region's handles stay in reach, px
const BAR = 140; // longest scale bar, in screen pixels

// OpenSeadragon adds a <style>, which the content security policy forbids, unless it finds this.
const decoy = document.createElementNS("urn:zooscope", "style");
decoy.setAttribute("data-openseadragon-mobile-css", "");
document.head.append(decoy);

export class Viewer {
  constructor(element) {
    const { OpenSeadragon } = window;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.element = element;
    this.size = null; // {width, height} of the picture, px
    this.pixelSize = null; // µm
    this.osd = OpenSeadragon({
      element, prefixUrl: "", drawer: "canvas", showNavigationControl: false, animationTime: still ? 0 : 0.4,
      maxZoomPixelRatio: 40, minZoomImageRatio: 0.7, visibilityRatio: 0.4,
      viewportMargins: { left: MARGIN, right: MARGIN, top: MARGIN, bottom: MARGIN },
      gestureSettingsMouse: { clickToZoom: false }, gestureSettingsTouch: { clickToZoom: false },
    });
    this.osd.canvas.setAttribute("role", "application");
    this.osd.canvas.setAttribute("aria-label", "Picture: arrows move it, plus and minus zoom");
    this.osd.addHandler("canvas-key", (event) => {
      const key = event.originalEvent.key;
      if (/^[rf ]$/i.test(key) || /^[1-9]$/.test(key)) event.preventDefaultAction = true;
    });
    this.shapes = svg("g");
    element.append(svg("svg", { class: "outline-layer", "aria-hidden": "true" }, this.shapes));
    this.osd.addHandler("update-viewport", () => this.#moved());
    $("#zoom-in").onclick = () => this.#zoom(1.5);
    $("#zoom-out").onclick = () => this.#zoom(1 / 1.5);
    $("#zoom-fit").onclick = () => this.osd.viewport.goHome();
    $("#zoom-one").onclick = () => this.#zoom(1 / (this.scale * devicePixelRatio));
  }

  #zoom(factor) {
    this.osd.viewport.zoomBy(factor).applyConstraints();
  }

  /** Screen pixels to one image pixel. */
  get scale() {
    const { viewport } = this.osd;
    return this.size ? viewport.deltaPixelsFromPoints(new window.OpenSeadragon.Point(1, 0), true).x / this.size.width : 1;
  }

  /** Where the picture's corner is on the screen, in pixels of the viewer. */
  get corner() {
    return this.osd.viewport.pixelFromPoint(new window.OpenSeadragon.Point(0, 0), true);
  }

  /** Show a source of that size; what was there stays until all of it has come, or, with `under`, for good. */
  open({ width, height }, tileSource, under = false) {
    const { world } = this.osd;
    const same = this.size && this.size.width === width && this.size.height === height;
    if (!same) world.removeAll();
    const before = under ? [] : Array.from({ length: world.getItemCount() }, (_, i) => world.getItemAt(i));
    this.size = { width, height };
    return new Promise((success, error) => {
      this.osd.addTiledImage({
        tileSource, error,
        success: ({ item }) => {
          const drop = () => before.forEach((old) => world.getIndexOfItem(old) >= 0 && world.removeItem(old));
          if (before.length) item.addHandler("fully-loaded-change", (event) => event.fullyLoaded && drop());
          if (!same) this.osd.viewport.goHome(true);
          success(item);
        },
      });
    });
  }

  /** Bring a rectangle of the picture into view, with some room around it. */
  zoomTo({ x, y, width, height }, room = 0.5) {
    const w = this.size.width;
    const pad = room * Math.max(width, height, 24);
    const { Rect } = window.OpenSeadragon;
    this.osd.viewport.fitBounds(new Rect((x - pad) / w, (y - pad) / w, (width + 2 * pad) / w, (height + 2 * pad) / w));
  }

  /** Image coordinates of a pointer event. */
  locate(event) {
    const box = this.element.getBoundingClientRect();
    const { Point } = window.OpenSeadragon;
    const point = this.osd.viewport.pointFromPixel(new Point(event.clientX - box.left, event.clientY - box.top), true);
    return { x: point.x * this.size.width, y: point.y * this.size.width };
  }

  #moved() {
    if (!this.size) return;
    const { scale, corner: { x, y } } = this;
    const smooth = scale * devicePixelRatio < 1.5;
    if (smooth !== this.smooth) this.osd.drawer.setImageSmoothingEnabled((this.smooth = smooth));
    this.shapes.setAttribute("transform", `translate(${x} ${y}) scale(${scale})`);
    $("#zoom-value").value = `${(scale * devicePixelRatio * 100).toPrecision(3) * 1} %`;
    this.#drawBar(scale);
  }

  #drawBar(scale) {
    const bar = $("#scale-bar");
    bar.hidden = !this.pixelSize;
    if (!this.pixelSize) return;
    const most = (BAR / scale) * this.pixelSize;
    const power = 10 ** Math.floor(Math.log10(most));
    const um = power * [5, 2, 1].find((step) => step * power <= most);
    bar.firstChild.style.width = `${(um / this.pixelSize) * scale}px`;
    bar.lastChild.textContent = length(um);
  }
}
