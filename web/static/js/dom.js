/** Elements: found, made, shown. */
export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

/** An element. Functions become listeners (`click: f`), booleans attributes that are there or not. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child != null));
  return element;
}

/** An SVG element. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Put an error where its cause is: the sentence, then what to do; null takes it away. */
export function showError(element, error) {
  element.hidden = !error;
  if (error && element.closest("details")) element.closest("details").open = true;
  element.replaceChildren(...(error ? [h("strong", {}, error.message), error.hint || ""] : []));
}

/** What the server wrote for the script. */
export const pageData = () => JSON.parse($("#page-data").textContent);

/** Run `act` once calls have stopped coming for `wait` ms. */
export function settled(act, wait) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(act, wait, ...given);
  };
}
