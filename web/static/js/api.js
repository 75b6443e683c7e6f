/** The public API, with its one shape of error. */
export const ROOT = "/api/v1";
export const SILENT = { code: "offline", message: "Zooscope does not answer.",
  hint: "Check the network, or that the service runs, and try again. What you made is kept." };

export class ApiError extends Error {
  constructor({ code, message, hint }, status = 0) {
    super(message);
    Object.assign(this, { code, hint, status });
  }
}

export function failure(text, status) {
  try {
    return new ApiError(JSON.parse(text).error, status);
  } catch {
    return new ApiError({ code: "internal", message: `Zooscope answered ${status}.`, hint: "Try again." }, status);
  }
}

/** Ask the API; `json` makes it a POST. Resolves to the JSON, or the text, of the answer. */
export async function api(path, { json, method = json ? "POST" : "GET", ...options } = {}) {
  const headers = json ? { "Content-Type": "application/json" } : {};
  const url = path.startsWith("/api") ? path : ROOT + path;
  let answer;
  try {
    answer = await fetch(url, { method, headers, body: json && JSON.stringify(json), ...options });
  } catch (error) {
    throw error.name === "AbortError" ? error : new ApiError(SILENT);
  }
  const text = await answer.text();
  if (!answer.ok) throw failure(text, answer.status);
  return answer.headers.get("Content-Type")?.includes("json") ? JSON.parse(text) : text;
}
