/** POST that is sent again when no answer comes, under one key that keeps the server from doing it twice. */
import { api, SILENT } from "./api.js";

export async function apiOnce(path, json) {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": crypto.getRandomValues(new Uint32Array(4)).join("-") };
  for (const pause of [300, 1000, 3000, 0]) {
    try {
      return await api(path, { json, headers });
    } catch (error) {
      if (error.code !== SILENT.code || !pause) throw error;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}
