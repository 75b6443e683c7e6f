/** Copies what has a copy button. */
import { $ } from "./dom.js";

document.addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-copy], [data-copy-url]");
  if (!button) return;
  const text = button.dataset.copy ? $(button.dataset.copy).textContent.trim() : location.origin + location.pathname;
  const label = button.lastChild.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.lastChild.textContent = "Copied";
    setTimeout(() => { button.lastChild.textContent = label; }, 4000);
  } catch {
    prompt("Copy this:", text);
  }
});
