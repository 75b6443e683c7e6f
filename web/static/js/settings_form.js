/** Step 4 of a preview: the settings of the chosen models. The server draws them all; here they are shown, read, marked. */
import { $, $$ } from "./dom.js";
import { count } from "./units.js";

/** `values` holds what differs from the defaults; `changed()` is called when it does. */
export function settingsForm(values, changed) {
  const fields = $$(".setting");
  const input = (field) => $("input, select", field);
  const suits = (field, head) => !field.dataset.heads || field.dataset.heads.split(" ").includes(head);
  let presets = {}; // what the first chosen model's head says instead of the common defaults

  const preset = ({ dataset }) => String(presets[dataset.name] ?? dataset.default);

  /** Show the settings of models, given as their checkboxes. */
  function show(models) {
    presets = models.length ? JSON.parse(models[0].dataset.presets) : {};
    for (const field of fields) {
      field.hidden = !models.some((model) => suits(field, model.dataset.head));
      const { name } = field.dataset;
      if (String(values[name]) === preset(field)) delete values[name];
      input(field).value = values[name] ?? preset(field);
    }
    $("#no-settings").hidden = models.length > 0;
    $("#more-settings").hidden = !models.length;
    $("#step-settings").classList.toggle("ready", models.length > 0);
    mark();
  }

  function read(field) {
    const element = input(field);
    const wrong = !element.checkValidity();
    element.setAttribute("aria-invalid", wrong);
    if (wrong) return element.reportValidity();
    if (element.value === "") element.value = preset(field);
    const value = element.type === "number" && element.value ? String(Number(element.value)) : element.value;
    if (value === preset(field)) delete values[field.dataset.name];
    else values[field.dataset.name] = value === "" || Number.isNaN(Number(value)) ? value : Number(value);
    mark();
    return changed();
  }

  function mark() {
    const differ = fields.filter((field) => !field.hidden && field.dataset.name in values);
    for (const field of fields) {
      field.classList.toggle("changed", differ.includes(field));
      $(".changed-mark", field).textContent = differ.includes(field) ? `changed, default ${preset(field) || "automatic"}` : "";
    }
    $("#settings-reset").hidden = !differ.length;
    $("#settings-summary").textContent = differ.length ? count(differ.length, "change") : "defaults";
  }

  for (const field of fields) input(field).onchange = () => read(field);
  $("#settings-reset").onclick = () => {
    for (const field of fields) {
      delete values[field.dataset.name];
      input(field).value = preset(field);
    }
    mark();
    changed();
  };

  /** What to send for models with this head; without a head, what every model understands. */
  const forHead = (head) => Object.fromEntries(fields.filter((field) => field.dataset.name in values && suits(field, head))
    .map(({ dataset: { name } }) => [name, values[name]]));
  return { show, forHead };
}
