/** Begin a draft: with a file that is dropped, or without. */
import { api } from "./api.js";
import { $, pageData, showError } from "./dom.js";
import { roleOf, sendFile } from "./send_file.js";

const label = $(".drop-label .hint");
const note = $("#begin-error");
let busy = false;

async function begin(file) {
  if (busy) return;
  busy = true;
  showError(note, null);
  let draft;
  try {
    draft = await api("/submissions", { json: { fields: pageData().fields } });
    if (file) await sendFile(draft.id, roleOf(file), file, (part) => { label.textContent = part < 1 ? `${file.name}: ${Math.floor(part * 100)} % sent` : `${file.name}: looking at it…`; }, new AbortController().signal);
    location.assign(draft.links.page);
  } catch (error) {
    showError(note, error);
    // A draft without a file is of no use to somebody whose file was refused.
    if (draft) api(`/submissions/${draft.id}`, { method: "DELETE" }).catch(() => {});
    label.textContent = "Choose another file, or drop it.";
    $("#file").value = "";
  } finally {
    busy = false;
  }
}

const over = (on) => $("#drop-zone").classList.toggle("over", on);
$("#begin").onclick = () => begin(null);
$("#file").onchange = ({ target }) => target.files[0] && begin(target.files[0]);
addEventListener("dragover", (event) => { event.preventDefault(); over(true); });
addEventListener("dragleave", (event) => event.relatedTarget || over(false));
addEventListener("drop", (event) => {
  event.preventDefault();
  over(false);
  if (event.dataTransfer.files[0]) begin(event.dataTransfer.files[0]);
});
