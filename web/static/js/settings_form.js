/** Step 4 of a preview: the settings of the chosen models, made from the API's definitions. */
import { api } from "./api.js";
import { $, h } from "./dom.js";
import { count } from "./units.js";

/** `values` holds what differs from the defaults; `changed()` is called when it does. */
export function settingsForm(values, changed) {
  let shown = [];

  /** Show the settings of these models: each once, defaults of the first that has it. */
  async function show(models) {
    const lists = await Promise.all(models.map((model) => api(`/preview-settings?model=${encodeURIComponent(model)}`)));
    shown = [...new Map(lists.flatMap(({ items }) => items).reverse().map((item) => [item.name, item])).values()].reverse();
    draw();
  }

  function draw() {
    const rows = (advanced) => shown.filter((setting) => setting.advanced === advanced).map(row);
    const more = rows(true);
    $("#settings-fields").replaceChildren(...rows(false), ...(more.length ? [h("details", { class: "more",
      open: shown.some(({ advanced, name }) => advanced && name in values) },
      h("summary", {}, `${more.length} more`), h("div", { class: "more-settings" }, ...more))] : []));
    if (!shown.length) $("#settings-fields").replaceChildren(h("p", { class: "hint" }, "Choose a model first."));
    mark();
  }

  function row(setting) {
    const { name, label, unit, choices, help, kind, optional } = setting;
    const id = `setting-${name}`;
    const value = values[name] ?? setting.default;
    const given = { id, "aria-describedby": `${id}-help`, change: () => read(setting, input) };
    const input = kind === "choice" ? h("select", given, ...choices.map((choice) => h("option", { value: choice }, String(choice))))
      : h("input", { ...given, type: "number", min: setting.minimum, max: setting.maximum,
        step: kind === "integer" ? 1 : 0.01, placeholder: optional ? "automatic" : "" });
    input.value = value ?? "";
    return h("div", { class: "field setting", "data-name": name },
      h("label", { for: id }, label, " ", h("span", { class: "changed-mark" })),
      h("span", { class: "with-unit" }, input, unit ? h("span", { class: "unit" }, unit) : null),
      h("p", { class: "hint", id: `${id}-help` }, help));
  }

  function read(setting, input) {
    const { name, kind, choices, default: preset } = setting;
    const wrong = !input.checkValidity();
    input.setAttribute("aria-invalid", wrong);
    if (wrong) return input.reportValidity();
    const value = kind === "choice" ? choices.find((choice) => String(choice) === input.value)
      : input.value === "" ? preset : Number(input.value);
    if (value === preset) delete values[name];
    else values[name] = value;
    if (input.value === "") input.value = preset ?? "";
    mark();
    return changed();
  }

  function mark() {
    const changes = shown.filter(({ name }) => name in values);
    for (const { name, default: preset } of shown) {
      const field = $(`.setting[data-name="${name}"]`);
      field.classList.toggle("changed", name in values);
      $(".changed-mark", field).textContent = name in values ? `changed, default ${preset ?? "automatic"}` : "";
    }
    $("#settings-reset").hidden = !changes.length;
    $("#settings-summary").textContent = changes.length ? `${count(changes.length, "change")}` : "defaults";
    $("#step-settings").classList.toggle("ready", shown.length > 0);
  }

  $("#settings-reset").onclick = () => {
    for (const name of Object.keys(values)) delete values[name];
    draw();
    changed();
  };

  /** What to send for models with this head; without a head, what every model understands. */
  const forHead = (head) => Object.fromEntries(Object.entries(values).filter(([name]) => {
    const heads = shown.find((setting) => setting.name === name)?.heads;
    return heads && (!heads.length || heads.includes(head));
  }));
  return { show, forHead };
}
