/** The last two steps of a draft: its check by a worker, and handing it to the reviewers. */
import { api } from "./api.js";
import { $, h, showError } from "./dom.js";
import { seconds, short } from "./units.js";

const EVERY = 1000;
const PICTURES = { "overlay.png": "What the model found on the test image", "cover.png": "The cover that the check made" };

/** `draft()` is the submission, `flush()` saves what waits, `got(submission)` takes a newer one. */
export function checking({ draft, flush, got }) {
  let following = null;

  $("#check-start").onclick = () => act("#check-error", async () => {
    if (!await flush()) throw { message: "What you typed is not saved yet.", hint: "Try again when it is." };
    got(await api(`/submissions/${draft().id}/check`, { json: {} }));
  }, $("#check-start"));

  $("#check-stop").onclick = () => act("#check-error", async () => {
    got(await api(`/submissions/${draft().id}/check`, { method: "DELETE" }));
  }, $("#check-stop"));

  $("#submit").onclick = () => act("#submit-error", async () => {
    if (!await flush()) throw { message: "What you typed is not saved yet.", hint: "Try again when it is." };
    got(await api(`/submissions/${draft().id}/submit`, { json: {} }));
    scrollTo({ top: 0 });
  }, $("#submit"));

  $("#comment-send").onclick = () => act("#comment-error", async () => {
    const text = $("#comment").value.trim();
    if (!text) return;
    got(await api(`/submissions/${draft().id}/comment`, { json: { text } }));
    $("#comment").value = "";
  }, $("#comment-send"));

  $("#discard").onclick = () => act("#submit-error", async () => {
    if (!confirm("Discard this draft? Its text and files go.")) return;
    await api(`/submissions/${draft().id}`, { method: "DELETE" });
    localStorage.removeItem(`zooscope-draft-${draft().id}`);
    location.assign("/publish");
  }, $("#discard"));

  async function act(note, doing, button) {
    showError($(note), null);
    button.disabled = true;
    try {
      await doing();
    } catch (error) {
      showError($(note), error);
    } finally {
      button.disabled = false;
      show();
    }
  }

  /** Follow a check that runs; its report comes with the submission. */
  async function follow(job) {
    if (following === job) return;
    following = job;
    while (following === job) {
      try {
        const { state, progress } = await api(`/jobs/${job}`);
        if (progress) {
          $("#check-stage").textContent = [progress.label, progress.message].filter(Boolean).join(": ");
          $("#check-progress progress").value = progress.fraction;
        }
        if (!["queued", "running"].includes(state)) {
          const newest = await api(`/submissions/${draft().id}`);
          if (newest.check?.state !== "running") following = null;
          got(newest);
        }
      } catch (error) {
        if (error.status === 404) {
          following = null;
          got(await api(`/submissions/${draft().id}`).catch(draft));
        }
      }
      await new Promise((resolve) => setTimeout(resolve, EVERY));
    }
  }

  function show() {
    const { check, missing, state, conflict, package_sha256: ready, comments } = draft();
    const open = (state === "draft" || state === "returned") && draft().mine;
    const runs = check?.state === "running" && !check.outdated;
    const lacks = [...conflict ? [{ field: conflict.field, sentence: conflict.message }] : [], ...missing];
    const links = () => lacks.map(({ field, sentence }) => h("li", {}, h("a", { href: `#field-${field}`, "data-to": field }, sentence)));
    $("#check-lacks").replaceChildren(...(lacks.length && open ? [h("p", {}, "Before it can be checked:"), h("ul", { class: "lack-list" }, ...links())] : []));
    $("#check-start").disabled = !open || runs || missing.length > 0;
    $("#check-start").textContent = check ? "Check it again" : "Check the model";
    $("#check-progress").hidden = !runs;
    $("#check-report").replaceChildren(...(check && !runs ? report(check) : []));
    if (runs) {
      $("#check-page").href = `/r/${check.job}`;
      follow(check.job);
    }
    $("#submit").disabled = !open || !ready || lacks.length > 0;
    $("#submit").hidden = $("#discard").hidden = !open;
    $("#submit").textContent = state === "returned" ? "Submit it again" : "Submit for review";
    const why = !check ? "It has not been checked yet." : runs ? "The check is running." : check.outdated ? "It was changed since its check: check it again."
        : check.state === "passed" ? "It is complete, and its check passed." : "Its check did not pass.";
    $("#submit-summary").replaceChildren(...(open && lacks.length ? [h("p", {}, "Before it can be submitted:"), h("ul", { class: "lack-list" }, ...links())]
      : [h("p", {}, open ? why : { submitted: "It is under review.", accepted: "It was accepted.", published: "It is published." }[state])]));
    $("#comments").hidden = !comments.length && open;
    $("#comment-list").replaceChildren(...comments.map(({ at, author_name: who, kind, text }) => h("li", { class: `comment ${kind}` },
      h("p", { class: "hint" }, h("strong", {}, who || "Zooscope"), { return: " returned it", accept: " accepted it" }[kind] || "", " · ",
        new Date(at * 1e3).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" })), h("p", { class: "comment-text" }, text))));
  }

  function report({ state, report: found, outdated, files }) {
    if (!found) return [];
    const verdict = { passed: "The check passed.", failed: "The check found something wrong.", error: "The check could not be done." }[state] || "";
    const facts = [found.seconds_per_megapixel != null && ["Speed", `${seconds(found.seconds_per_megapixel)} for a megapixel${found.device ? `, ${found.device}` : ""}`],
      found.load_s != null && ["Loading", seconds(found.load_s)], found.objects != null && ["Found", `${found.objects} objects in the test image`],
      found.peak_memory_bytes && ["Memory", `${short(found.peak_memory_bytes / 1e6)} MB`]].filter(Boolean);
    return [h("p", { class: `verdict ${state}` }, h("strong", {}, verdict), outdated ? " The draft was changed since: check it again." : ""),
      h("ul", { class: "check-steps" }, ...(found.steps || []).map(({ ok, sentence, hint }) => h("li", { class: ok ? "" : "failed" },
        h("span", { class: "visually-hidden" }, ok ? "Passed: " : "Failed: "), sentence, hint ? h("span", { class: "hint" }, ` ${hint}`) : null))),
      h("dl", { class: "facts wide" }, ...facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      h("div", { class: "check-pictures" }, ...Object.entries(PICTURES).filter(([name]) => files?.[name]).map(([name, alt]) => h("figure", {},
        h("img", { src: `/api/v1/submissions/${draft().id}/check/files/${name}?sha256=${files[name].sha256}`, alt, loading: "lazy" }), h("figcaption", { class: "hint" }, alt))))];
  }
  return { show };
}
