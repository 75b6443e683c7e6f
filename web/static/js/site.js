/** What every page does: say when the network is gone. */
import { $ } from "./dom.js";
import { sayTimes } from "./units.js";

const note = $(".offline-note");
const say = () => { note.hidden = navigator.onLine; };
addEventListener("online", say);
addEventListener("offline", say);
say();
sayTimes();
