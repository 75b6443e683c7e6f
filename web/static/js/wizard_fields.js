/** The fields of the form: what they hold, and how they are shown. */
import { api } from "./api.js";
import { $, $$, h, settled, showError } from "./dom.js";

const TERMS_WAIT = 150;

/** `changed(name, value)` is told what the author does; `undo(text, back)` offers to take it back. */
export function formFields(heads, changed, undo) {
  const holders = Object.fromEntries($$("[data-field]").map((holder) => [holder.dataset.field, holder]));
  const kinds = { list: wordsField, rows: rowsField, head: headField };
  let values = {};
  const fields = Object.fromEntries(Object.entries(holders).map(([name, holder]) => [name, (kinds[holder.dataset.kind] || plainField)(name, holder)]));

  const put = (name, value) => {
    values[name] = value;
    changed(name, value);
  };

  function plainField(name, holder) {
    const input = $("input, textarea, select", holder);
    input.addEventListener("input", () => put(name, input.value));
    return { show: (value) => { if (document.activeElement !== input || input.value === "") input.value = value ?? ""; }, focus: input };
  }

  /** Words as chips; Enter, a comma or leaving the field takes what is typed. */
  function wordsField(name, holder) {
    const [input, list, terms] = [$("input", holder), $(".word-list", holder), $("datalist", holder)];
    const words = () => Array.isArray(values[name]) ? values[name] : [];
    const show = () => list.replaceChildren(...words().map((word, at) => h("li", {}, h("button", { type: "button", class: "word",
      "aria-label": `Remove ${word}`, click: () => remove(at) }, h("span", {}, word), h("span", { "aria-hidden": "true" }, "×")))));
    const set = (next) => {
      put(name, next);
      show();
    };
    function remove(at) {
      const before = words();
      set(before.filter((_, index) => index !== at));
      input.focus();
      undo(`${before[at]} removed.`, () => set(before));
    }
    function take() {
      const typed = input.value.split(/[,;\n]/).map((word) => word.trim()).filter(Boolean);
      input.value = "";
      if (typed.length) set([...new Set([...words(), ...typed])]);
    }
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === ",") {
        event.preventDefault();
        take();
      }
      if (event.key === "Backspace" && !input.value && words().length) remove(words().length - 1);
    });
    input.addEventListener("blur", take);
    if (holder.dataset.term) {
      const suggest = settled(async () => {
        const { items } = await api(`/terms?field=${holder.dataset.term}&q=${encodeURIComponent(input.value)}&size=12`).catch(() => ({ items: [] }));
        terms.replaceChildren(...items.map((term) => h("option", { value: term.name }, term.id)));
      }, TERMS_WAIT);
      input.addEventListener("focus", suggest);
      input.addEventListener("input", (event) => {
        // Chosen from the list, not typed: taken at once.
        if (event.inputType === undefined || event.inputType === "insertReplacementText") return take();
        suggest();
      });
    }
    return { show, focus: input };
  }

  /** Rows of a small table, each with a button that removes it. */
  function rowsField(name, holder) {
    const columns = JSON.parse(holder.dataset.columns);
    const list = $(".row-list", holder);
    const rows = () => Array.isArray(values[name]) ? values[name] : [];
    let shown = "";
    const line = (row, at) => h("div", { class: "row-line", role: "group", "aria-label": `${at + 1}` }, ...columns.map(([key, label]) => {
      const input = h("input", { value: row[key] || "", "aria-label": `${label} ${at + 1}`, placeholder: label, autocomplete: "off" });
      input.addEventListener("input", () => {
        const next = rows().map((one, index) => index === at ? { ...one, [key]: input.value } : one);
        shown = JSON.stringify(next);
        put(name, next);
      });
      return input;
    }), h("button", { type: "button", class: "icon-button", "aria-label": `Remove ${row[columns[0][0]] || `row ${at + 1}`}`, click: () => remove(at) }, h("span", { "aria-hidden": "true" }, "×")));
    function show() {
      if (JSON.stringify(rows()) === shown) return;
      shown = JSON.stringify(rows());
      list.replaceChildren(...rows().map(line));
    }
    const set = (next) => {
      put(name, next);
      show();
    };
    function remove(at) {
      const before = rows();
      set(before.filter((_, index) => index !== at));
      add.focus();
      undo(`${before[at][columns[0][0]] || "The row"} removed.`, () => set(before));
    }
    const add = $("[data-add-row]", holder);
    add.onclick = () => {
      set([...rows(), {}]);
      $("input", list.lastElementChild).focus();
    };
    return { show, focus: add };
  }

  /** What turns maps into objects: its kind, and the fields that this kind has. */
  function headField(name, holder) {
    const [select, parts] = [$("select", holder), $("#head-parts")];
    const head = () => values[name] || {};
    let shown = "";
    const set = (key, value) => put(name, { ...head(), [key]: value });
    function part({ name: key, label, kind, default: preset, help }) {
      const id = `head-${key}`;
      const value = head()[key] ?? preset ?? "";
      const maps = Array.isArray(values.output_channels) ? values.output_channels : [];
      const input = kind === "map" ? h("select", { id, change: ({ target }) => set(key, Number(target.value)) },
        ...maps.map((map, at) => h("option", { value: at, selected: at === Number(value) }, map)))
        : kind === "list" ? h("input", { id, value: listed(value), input: ({ target }) => set(key, target.value.split(",").map((word) => word.trim()).filter(Boolean)) })
          : h("input", { id, value, inputmode: "decimal", input: ({ target }) => set(key, target.value) });
      return h("div", { class: "field" }, h("label", { for: id }, label), input, help ? h("p", { class: "hint" }, help) : null);
    }
    const listed = (value) => Array.isArray(value) ? value.map((one) => one.object ?? one).join(", ") : "";
    function show() {
      const form = heads.find(({ kind }) => kind === head().kind);
      select.value = form?.kind ?? "";
      const state = JSON.stringify([head().kind, values.output_channels]);
      if (state === shown) return;
      shown = state;
      $("#field-head-help").textContent = form?.help ?? (head().kind ? `The package's own: ${head().kind}.` : "");
      const text = (key, label, help) => h("div", { class: "field" }, h("label", { for: `head-${key}` }, label),
        h("input", { id: `head-${key}`, value: head()[key] || "", input: ({ target }) => set(key, target.value) }), h("p", { class: "hint" }, help));
      parts.replaceChildren(...(form ? [...form.parts.map(part), text("object", "One of them is called", "Such as nucleus."), text("objects", "Several are called", "Such as nuclei.")] : []));
    }
    select.onchange = () => {
      put(name, { kind: select.value });
      show();
    };
    return { show, focus: select };
  }

  /** Show what the draft holds, but for the fields in `mine`, which were typed since. */
  function show(next, mine = {}) {
    values = { ...next, ...mine };
    const filled = new Set(values.prefilled || []);
    for (const [name, field] of Object.entries(fields)) {
      field.show(values[name]);
      const mark = $(".from-file", holders[name]);
      if (mark) mark.hidden = !filled.has(name);
    }
  }

  /** Put what is missing beside its field, in fields that were touched, or in all. */
  function complain(missing, touched) {
    for (const [name, holder] of Object.entries(holders)) {
      const found = missing.find(({ field }) => field === name);
      const told = found && (touched === true || touched.has(name));
      const note = $(".error-note", holder);
      note.hidden = !told;
      if (note.textContent !== (told ? found.sentence : "")) note.textContent = told ? found.sentence : "";
      if (holder.dataset.kind !== "rows") fields[name].focus.setAttribute("aria-invalid", Boolean(told));
    }
  }
  return { show, complain, fields, holders, put, has: (name) => name in holders, value: (name) => values[name], error: (name, error) => showError($(".error-note", holders[name]), error) };
}
