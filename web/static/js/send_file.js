/** Sending a file of a submission in parts: what has arrived stays, and the same file dropped again goes on from there. */
import { ApiError, failure, ROOT, SILENT } from "./api.js";

const PART = 8 * 2 ** 20;
const PAUSES = [500, 2000, 5000, 10000];
const IMAGES = /\.(png|jpe?g|tiff?|ome\.zarr\.zip|zarr\.zip|zarr|gif|bmp|webp)$/i;

/** The role of a file, by its name: the server looks at what is in it. */
export const roleOf = ({ name }) => IMAGES.test(name) ? "test_image" : /\.zip$/i.test(name) ? "package" : "weights";

/** Send `file`; `progress` is told the fraction sent, `signal` cancels. Resolves to {submission, found}. */
export async function sendFile(id, role, file, progress, signal) {
  const query = `?key=${encodeURIComponent(`${file.name.slice(-100)} ${file.size} ${file.lastModified}`)}`;
  const address = `${ROOT}/submissions/${id}`;
  let at = 0;
  if (file.size > PART) {
    const known = await fetch(`${address}/uploads/${role}${query}`, { signal }).then((answer) => answer.ok ? answer.json() : {}, () => ({}));
    at = known.received < file.size ? known.received : 0;
  }
  for (let tried = 0; ;) {
    const end = Math.min(at + PART, file.size);
    try {
      const answer = await part(`${address}/files/${role}${query}`, file, at, end, (sent) => progress((at + sent) / Math.max(1, file.size)), signal);
      if (!("received" in answer)) return answer;
      at = answer.received;
      tried = 0;
    } catch (error) {
      if (error.received !== undefined && tried < PAUSES.length) {
        at = error.received;
        tried += 1;
        continue;
      }
      if (error.code !== SILENT.code || tried >= PAUSES.length) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSES[tried]));
      tried += 1;
      const known = await fetch(`${address}/uploads/${role}${query}`, { signal }).then((answer) => answer.json(), () => ({}));
      at = known.received ?? at;
    }
  }
}

/** XMLHttpRequest, because fetch tells no progress of what it sends. */
function part(url, file, start, end, progress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    signal.addEventListener("abort", stop, { once: true });
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onerror = () => reject(new ApiError({ ...SILENT, hint: "Drop the same file again, and the upload goes on where it was." }));
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    request.onload = () => {
      signal.removeEventListener("abort", stop);
      if (request.status < 300) return resolve(JSON.parse(request.responseText));
      const error = failure(request.responseText, request.status);
      if (error.code === "upload-offset") error.received = JSON.parse(request.responseText).received;
      reject(error);
    };
    request.open("PUT", url);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("X-Filename", encodeURIComponent(file.name));
    if (file.size) request.setRequestHeader("Content-Range", `bytes ${start}-${end - 1}/${file.size}`);
    request.send(file.slice(start, end));
  });
}
