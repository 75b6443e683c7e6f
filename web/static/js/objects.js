/** The objects of a result, and which of them are shown: by class, score, a bar of the histogram, and words. */

const COMPARE = { "<": (a, b) => a < b, ">": (a, b) => a > b, "=": (a, b) => a === b };
const FIRST = { points: ["spots"], boxes: ["area_um2", "area_px", "score"] };

/** A ring from its first corner and the steps between corners. */
function ring(steps) {
  const corners = Float32Array.from(steps);
  for (let i = 2; i < corners.length; i += 1) corners[i] += corners[i - 2];
  return corners;
}

export class Objects {
  /** `found` as the API's /objects has them; the region's corner is 0, 0 here. `legend` is the result's. */
  constructor({ rows, outlines, colours, ...found }, { shape, classes }, [left, top]) {
    Object.assign(this, found, { shape, classes, off: new Set(), least: 0, bar: null, text: "", watchers: [] });
    this.rows = rows.map((cells, index) => {
      const row = Object.fromEntries(this.columns.map((name, i) => [name, cells[i]]));
      return Object.assign(row, { colour: colours[index], rings: outlines[index]?.map(ring), point: row.radius_px > 0,
        kind: this.own ? 0 : classes.findIndex(({ name }) => name === row.class),
        box: [row.x_min - left, row.y_min - top, row.x_max - left, row.y_max - top] });
    });
    this.measure = (FIRST[shape] || ["area_um2", "area_px"]).find((name) => this.measures.includes(name)) || this.measures[0];
    this.update();
  }

  title(name) {
    return this.titles[this.columns.indexOf(name)];
  }

  /** Call `watcher` now and whenever other objects are shown. */
  watch(watcher) {
    this.watchers.push(watcher);
    watcher();
  }

  /** Ask for others: {off, least, bar, text, measure}. */
  set(asked) {
    Object.assign(this, asked);
    this.update();
    for (const watcher of this.watchers) watcher();
  }

  /** `listed` leaves the histogram's bar and the words out of account, `shown` does not. */
  update() {
    const spots = this.shape === "points"; // their score counts, not that of the cells
    const sure = this.rows.filter((row) => row.score >= this.least || (spots && !row.point));
    if (spots) this.#count(sure);
    this.counts = Map.groupBy(sure, (row) => row.class);
    this.listed = sure.filter((row) => !this.off.has(row.class));
    const cells = new Set();
    const fits = this.#question();
    this.shown = !this.bar && !this.text ? this.listed : this.listed.filter((row) => {
      const answer = fits(row) ?? (!row.point || cells.has(row.cell)); // spots go with their cell
      if (answer && !row.point) cells.add(row.id);
      return answer;
    });
  }

  #count(sure) {
    const spots = Map.groupBy(sure.filter((row) => row.point), (row) => row.cell);
    const perArea = this.columns.filter((name) => name.startsWith("spots_per_"));
    for (const row of this.rows) {
      if (row.point || row.spots == null) continue;
      row.all ??= { ...row };
      row.spots = spots.get(row.id)?.length || 0;
      for (const name of perArea) row[name] = row.all.spots ? (row.all[name] * row.spots) / row.all.spots : 0;
    }
  }

  /** Whether a row answers to bar and words; undefined where it lacks the measure. */
  #question() {
    const { bar, measure, text } = this;
    const [, name, sign, limit] = text.match(/^(\w+)\s*([<>=])\s*(-?[\d.]+)$/) || [];
    return (row) => {
      const value = bar && row[measure];
      if ((bar && value == null) || (name && row[name] == null)) return undefined;
      if (bar && !(value >= bar.from && (value < bar.to || bar.last))) return false;
      return name ? COMPARE[sign](row[name], Number(limit)) : !text || [row.id, row.class].map(String).includes(text);
    };
  }
}
