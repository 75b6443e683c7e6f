/** Getting a file: dropped, pasted or chosen. */
import { ApiError, failure, ROOT, SILENT } from "./api.js";
import { $$, showError } from "./dom.js";

/** `got(image)` is called with the uploaded image; errors stand in `note`. */
export function acceptFiles({ input, progress, note, got }) {
  async function take(file) {
    if (!file) return;
    showError(note, null);
    progress.hidden = false;
    try {
      got(await upload(file, (fraction) => { progress.value = fraction; }));
    } catch (error) {
      showError(note, error);
    } finally {
      progress.hidden = true;
      input.value = "";
    }
  }
  const over = (on) => $$(".drop-zone, .viewer").forEach((zone) => zone.classList.toggle("over", on));
  input.addEventListener("change", () => take(input.files[0]));
  addEventListener("paste", (event) => take(event.clipboardData.files[0]));
  addEventListener("dragover", (event) => { event.preventDefault(); over(true); });
  addEventListener("dragleave", (event) => event.relatedTarget || over(false));
  addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    take(event.dataTransfer.files[0]);
  });
}

/** Upload an image file; `progress` is told the fraction that has been sent. */
function upload(file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const form = new FormData();
    form.append("file", file, file.name || "pasted.png");
    request.upload.onprogress = (event) => progress(event.loaded / event.total);
    request.onerror = () => reject(new ApiError(SILENT));
    request.onload = () => request.status < 300 ? resolve(JSON.parse(request.responseText))
      : reject(failure(request.responseText, request.status));
    request.open("POST", `${ROOT}/images`);
    request.send(form);
  });
}
