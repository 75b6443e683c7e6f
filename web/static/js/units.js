/** Numbers as people read them, always with their unit. */
export const short = (value, digits = 3) => Number(value.toPrecision(digits)).toLocaleString("en", { maximumFractionDigits: 6 });

export function length(um) {
  if (um < 0.1) return `${short(um * 1e3)} nm`;
  return um < 1e3 ? `${short(um)} µm` : `${short(um / 1e3)} mm`;
}
export const number = (value) => value.toLocaleString("en", { maximumFractionDigits: 2 });
export const count = (n, word) => `${number(n)} ${word}${n === 1 ? "" : "s"}`;

export function seconds(s) {
  if (s < 1) return `${short(s * 1e3, 2)} ms`;
  if (s < 100) return `${short(s, 2)} s`;
  return s < 5400 ? `${Math.round(s / 60)} min` : `${short(s / 3600, 2)} h`;
}
/** Fill in the page's times, in the reader's time zone. */
export function sayTimes() {
  for (const time of document.querySelectorAll("time[data-epoch]")) {
    time.textContent = new Date(time.dataset.epoch * 1e3).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
  }
}
