/** Step 4 of a preview: the settings. What all chosen models have alike stands once, the rest by model. */
import { $, $$, h, showError } from "./dom.js";
import { count } from "./units.js";

const OPEN = 3; // settings shown without asking for more

/** `values` holds what differs from the defaults, by name for all models, by "name@model" for one; `depth()` is the image's. */
export function settingsForm({ definitions: list, models }, values, depth, changed) {
  const definitions = Object.fromEntries(list.map((one) => [one.name, one]));
  let chosen = [];
  let fields = [];
  let strangers = []; // names in the address that no model has: sent, to be refused

  const setting = (id, name) => models[id]?.[name] && { ...definitions[name], ...models[id][name] };
  const text = (value) => String(value ?? "");
  const value = (id, name) => values[`${name}@${id}`] ?? values[name];

  /** What to send for a model. */
  const of = (id) => Object.fromEntries([...Object.keys(models[id] || {}), ...strangers].map((name) => [name, value(id, name)])
    .filter(([name, given]) => given !== undefined && text(given) !== text(setting(id, name)?.default)));

  /** The settings of some models as one field. */
  function field(name, ids) {
    const key = ids.length === chosen.length ? name : `${name}@${ids[0]}`;
    const { label, kind, help, unit, choices, labels, minimum, maximum, optional } = setting(ids[0], name);
    const presets = [...new Set(ids.map((id) => text(setting(id, name).default)))];
    const preset = presets.length > 1 ? "" : presets[0]; // empty: each model its own
    if (text(values[key]) === preset) delete values[key];
    const now = text(value(ids[0], name) ?? preset);
    const id = `setting-${key.replace(/\W/g, "-")}`;
    const lacks = (choice) => name === "frames" && Math.max(...choice.split("+")) > depth();
    const option = (choice) => h("option", { value: choice, selected: choice === now }, labels[choices.indexOf(choice)] || "each model's own");
    const input = kind === "choice" ? h("select", { id }, ...presets[1] ? [option("")] : [], ...choices.filter((choice) => !lacks(choice) || choice === now).map(option))
      : h("input", { id, type: "number", min: minimum, max: maximum, step: kind === "integer" ? 1 : "any", value: now,
        placeholder: presets.length > 1 ? presets.join(" or ") : optional && "automatic" });
    const missing = kind === "choice" && choices.filter(lacks).filter((choice) => !choice.includes("+"));
    const reason = missing?.length ? ` ${missing.join(" and ")} planes need a stack of at least ${missing[0]}; this image has ${count(depth(), "plane")}.` : "";
    const [mark, note] = [h("span", { class: "changed-mark" }), h("p", { class: "error-note", role: "alert", hidden: true })];
    const reset = h("button", { type: "button", class: "button small quiet", "aria-label": `Reset ${label}`, click: () => put(preset) }, "Reset");
    input.setAttribute("aria-describedby", `${id}-help`);
    const element = h("div", { class: "field setting", }, h("div", { class: "setting-head" }, h("label", { for: id }, label, " ", mark), reset),
      h("span", { class: "with-unit" }, input, unit && h("span", { class: "unit" }, unit)), h("p", { class: "hint", id: `${id}-help` }, help + reason), note);
    const put = (given) => {
      for (const each of [key, ...ids.map((one) => `${name}@${one}`)]) delete values[each];
      if (given !== preset) values[key] = given === "" || Number.isNaN(Number(given)) || kind === "choice" ? given : Number(given);
      input.value = given;
      remark();
      changed();
    };
    const remark = () => {
      const differs = text(value(ids[0], name) ?? preset) !== preset;
      element.classList.toggle("changed", differs);
      mark.textContent = differs ? `changed, default ${labels[choices.indexOf(preset)] || preset || (presets[1] ? "each model's own" : "automatic")}` : "";
      reset.hidden = !differs;
      sum();
    };
    input.onchange = () => put(input.validity.badInput ? "?" : input.value || preset);
    return { name, ids, key, element, note, remark };
  }

  /** Show the settings of models, given by id. */
  function show(ids) {
    if (!chosen.length) strangers = Object.keys(values).filter((name) => ids.length && !name.includes("@") && !ids.some((id) => models[id][name]));
    else if (ids.join() !== chosen.join()) forget();
    chosen = ids;
    const names = Object.keys(definitions);
    const alike = (name) => new Set(ids.map((id) => models[id][name] && JSON.stringify(setting(id, name).choices))).size === 1;
    const common = names.filter((name) => ids.length && models[ids[0]][name] && alike(name)).map((name) => field(name, ids));
    const others = names.filter((name) => !common.some((one) => one.name === name));
    const groups = ids.map((id) => others.filter((name) => models[id][name]).map((name) => field(name, [id])));
    const open = common.filter(({ name }) => !definitions[name].advanced).slice(0, OPEN);
    fields = [...common, ...groups.flat()];
    $("#open-settings").replaceChildren(...open.map(({ element }) => element));
    $("#more-settings div").replaceChildren(...common.filter((one) => !open.includes(one)).map(({ element }) => element),
      ...groups.map((group, i) => group.length && h("fieldset", { class: "more-settings" }, h("legend", {}, `Only ${$(`[name=model][value="${ids[i]}"]`).dataset.name}`), ...group.map(({ element }) => element))).filter(Boolean));
    $("#no-settings").hidden = ids.length > 0;
    $("#more-settings").hidden = !ids.length;
    $("#step-settings").classList.toggle("ready", ids.length > 0);
    fields.forEach(({ remark }) => remark());
    sum();
  }

  function forget() {
    for (const name of strangers) delete values[name];
    strangers = [];
  }

  function sum() {
    const differ = $$(".setting.changed").length + strangers.length;
    $("#settings-reset").hidden = !differ;
    $("#settings-summary").textContent = differ ? count(differ, "change") : "defaults";
  }

  $("#settings-reset").onclick = () => {
    for (const { key } of fields) delete values[key];
    forget();
    show(chosen);
    changed();
  };

  /** Put an error of a model (null: none) beside the setting that it names; tells whether there is one. */
  function place(error, id) {
    const name = error && (error.code === "planes-missing" ? "frames" : error.message.match(/\((\w+)\)/)?.[1]);
    const found = fields.find((one) => one.name === name && one.ids.includes(id));
    for (const { note, element } of fields) {
      const here = found?.note === note;
      showError(note, here ? error : null);
      $("input, select", element).setAttribute("aria-invalid", here);
    }
    if (found) $("#step-settings").open = true;
    return found;
  }
  return { show, of, place };
}
