import { t } from "../language/language.js";
import { troubleOf, Trouble } from "./trouble.js";

/** @import { Client } from "./client.js" */
/** @import { Check } from "./types.js" */

/** Files that are sent to the server to be judged. */
export class Checks {
  /** @param {Client} client */
  constructor(client) {
    this._client = client;
  }

  /**
   * @param {string} id
   * @param {AbortSignal} [signal]
   * @returns {Promise<Check>}
   */
  async get(id, signal) {
    return (await this._client.fetch(path(id), { signal })).json();
  }

  /** @param {string} id */
  async remove(id) {
    await this._client.fetch(path(id), { method: "DELETE" });
  }

  /**
   * Sends a file. `fetch` does not tell how much of a body is sent; this does.
   *
   * @param {File} file
   * @param {(share: number) => void} onProgress share that is sent, 0..1
   * @param {AbortSignal} signal gives it up: the promise then never ends
   * @returns {Promise<Check>}
   * @throws {Trouble}
   */
  async send(file, onProgress, signal) {
    const headers = await this._client.credentials();
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      const name = encodeURIComponent(file.name.slice(-255));
      request.open("POST", new URL(`api/v1/checks?name=${name}`, document.baseURI));
      for (const [field, value] of Object.entries(headers)) request.setRequestHeader(field, value);
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.upload.addEventListener("progress", ({ loaded, total }) => onProgress(total ? loaded / total : 0));
      request.addEventListener("load", () => {
        if (request.status === 201) resolve(JSON.parse(request.responseText));
        else void refusal(request).then(reject);
      });
      request.addEventListener("error", () => {
        const remedy = t("The file may be larger than the server takes, or the connection is gone.");
        reject(new Trouble(t("The upload broke off."), remedy, { retry: true }));
      });
      signal.addEventListener("abort", () => request.abort());
      request.send(file);
    });
  }
}

/**
 * @param {string} id
 * @returns {string}
 */
function path(id) {
  return `api/v1/checks/${encodeURIComponent(id)}`;
}

/**
 * @param {XMLHttpRequest} request
 * @returns {Promise<Trouble>}
 */
function refusal(request) {
  const headers = new Headers();
  for (const field of ["Content-Type", "Retry-After"]) {
    const value = request.getResponseHeader(field);
    if (value) headers.set(field, value);
  }
  return troubleOf(new Response(request.responseText, { status: request.status, headers }));
}
