import { keepUp } from "./backoff.js";
import { Trouble } from "./trouble.js";

/** @import { Client } from "./client.js" */

const SILENCE = 15_000;

/**
 * Server-sent events by fetch, so that the token stays in a header, with the last id sent again at each reconnect.
 *
 * @param {Client} client
 * @param {string} path
 * @param {object} options
 * @param {AbortSignal} options.signal
 * @param {(kind: string, data: any) => void} options.onEvent
 * @param {(trouble: Trouble, seconds: number) => void} [options.onPause]
 * @returns {Promise<void>} when the signal aborts
 * @throws {Trouble} one that trying again does not mend
 */
export function follow(client, path, { signal, onEvent, onPause = () => {} }) {
  let lastId = "";
  return keepUp(
    async (established) => {
      const silence = new AbortController();
      const stop = () => silence.abort();
      signal.addEventListener("abort", stop);
      let timer = setTimeout(stop, SILENCE);
      try {
        /** @type {Record<string, string>} */
        const headers = { Accept: "text/event-stream" };
        if (lastId) headers["Last-Event-ID"] = lastId;
        const response = await client.fetch(path, { headers, cache: "no-store", signal: silence.signal });
        if (!response.body) return;
        established();
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        const parser = new EventParser((kind, data, id) => {
          if (id) lastId = id;
          onEvent(kind, JSON.parse(data));
        });
        for (;;) {
          const { value, done } = await reader.read();
          if (done) break;
          clearTimeout(timer);
          timer = setTimeout(stop, SILENCE);
          parser.push(value);
        }
      } catch (error) {
        if (signal.aborted || (error instanceof Trouble && !error.retry)) throw error;
        throw new Trouble("The live verdicts broke off.", "The page tries again by itself.", { retry: true });
      } finally {
        clearTimeout(timer);
        signal.removeEventListener("abort", stop);
        silence.abort();
      }
    },
    { signal, onPause, wake: client },
  );
}

/** Cuts a text/event-stream into events (HTML standard, 9.2.6). */
export class EventParser {
  /** @param {(kind: string, data: string, id: string) => void} onEvent */
  constructor(onEvent) {
    this._onEvent = onEvent;
    this._rest = "";
    this._kind = "";
    this._id = "";
    /** @type {string[]} */
    this._data = [];
  }

  /** @param {string} text the next piece, cut anywhere */
  push(text) {
    const lines = (this._rest + text).split("\n");
    this._rest = lines.pop() ?? "";
    for (const line of lines) this._line(line.endsWith("\r") ? line.slice(0, -1) : line);
  }

  /** @param {string} line */
  _line(line) {
    if (!line) {
      if (this._data.length) this._onEvent(this._kind || "message", this._data.join("\n"), this._id);
      this._kind = "";
      this._data = [];
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this._kind = value;
    else if (field === "data") this._data.push(value);
    else if (field === "id") this._id = value;
  }
}
