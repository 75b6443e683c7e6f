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

const TRIES_MS = [300, 1000, 3000];

/** POST `json` and, when no answer comes, again: under one key that keeps the server from doing it twice. */
export async function apiOnce(path, json) {
  const random = crypto.getRandomValues(new Uint8Array(16));
  const key = Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
  for (const pause of TRIES_MS) {
    try {
      return await api(path, { json, headers });
    } catch (error) {
      if (error.code !== SILENT.code) throw error;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
  return api(path, { json, headers });
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
