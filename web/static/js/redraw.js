/** What the server draws, drawn anew. */
import { $ } from "./dom.js";

/** Put the server's present drawing of an element in its place; `address` is the page to take it from. */
export async function redraw(selector, address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`Zooscope answered ${answer.status}.`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  $(selector).replaceWith($(selector, page));
}
