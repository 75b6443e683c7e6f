/** Keeping what is typed: at once in this browser, soon on the server; nothing is lost when either is away. */
import { api } from "./api.js";

const WAIT = 700;
const AGAIN = 5000;

/** `said(kind, error)` shows how it stands: saved, saving, away, signed-out or merged; `got(submission)` gets the newest. */
export function keeper(submission, open, said, got) {
  const place = `zooscope-draft-${submission.id}`;
  let { changed_at: base } = submission;
  let waiting = {};
  let timer;
  let turn = Promise.resolve();

  try {
    if (open) waiting = JSON.parse(localStorage.getItem(place)) || {};
  } catch { /* private windows may have no storage */ }
  const restored = { ...waiting };

  function remember() {
    try {
      if (Object.keys(waiting).length) localStorage.setItem(place, JSON.stringify(waiting));
      else localStorage.removeItem(place);
    } catch { /* as above */ }
  }

  function change(name, value) {
    waiting[name] = value;
    remember();
    said("saving");
    later(WAIT);
  }
  function later(wait) {
    clearTimeout(timer);
    timer = setTimeout(flush, wait);
  }

  /** Save what waits; resolves to whether everything is on the server. */
  function flush() {
    clearTimeout(timer);
    turn = turn.then(send, send);
    return turn;
  }
  async function send() {
    const fields = { ...waiting };
    if (!Object.keys(fields).length) return true;
    try {
      settle(fields, await api(`/submissions/${submission.id}`, { method: "PATCH",
        headers: { "Content-Type": "application/json" }, body: JSON.stringify({ fields, changed_at: base }), keepalive: JSON.stringify(fields).length < 30000 }));
      said("saved");
      return !Object.keys(waiting).length || send();
    } catch (error) {
      if (error.code === "submission-changed") {
        // Another window saved: its text stands, but for the fields that were typed here since.
        const newest = await api(`/submissions/${submission.id}`);
        base = newest.changed_at;
        got(newest, waiting);
        said("merged");
        return send();
      }
      said(error.status === 401 ? "signed-out" : "away", error);
      if (error.status !== 400 && error.status !== 409) later(AGAIN);
      return false;
    }
  }
  function settle(fields, newest) {
    base = newest.changed_at;
    for (const [name, value] of Object.entries(fields)) if (waiting[name] === value) delete waiting[name];
    remember();
    got(newest, waiting);
  }

  addEventListener("online", flush);
  addEventListener("focus", flush);
  addEventListener("pagehide", flush);
  return { change, flush, restored, newer(newest) { base = newest.changed_at; got(newest, waiting); } };
}
