import { t } from "../language/language.js";
import { keepUp, sleep } from "./backoff.js";
import { Trouble } from "./trouble.js";

/** @import { Client } from "./client.js" */

const SILENCE = 15_000;
const ABSENT = 1;

/**
 * Follows a stream: its states, verdicts and alerts by server-sent events, read by fetch, so that the token stays in a
 * header, with the last id sent again at each reconnect. A stream that is not there is waited for.
 *
 * @param {Client} client
 * @param {string} name the stream's
 * @param {object} options
 * @param {AbortSignal} options.signal
 * @param {(kind: string, data: any) => void} options.onEvent
 * @param {() => void} [options.onAbsent] told again and again while there is no such stream
 * @returns {Promise<void>} when the signal aborts
 * @throws {Trouble} one that trying again does not mend
 */
export function followStream(client, name, { signal, onEvent, onAbsent = () => {} }) {
  const path = `api/v1/streams/${encodeURIComponent(name)}/events`;
  let lastId = "";
  return keepUp(
    async (established) => {
      // Looked for in the list: asking for what is not there is an error, which browsers write down.
      while (!(await client.streams()).some((stream) => stream.name === name)) {
        onAbsent();
        await sleep(ABSENT, signal, client);
        if (signal.aborted) return;
      }
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
          client.hear();
          clearTimeout(timer);
          timer = setTimeout(stop, SILENCE);
          parser.push(value);
        }
      } catch (error) {
        if (signal.aborted || (error instanceof Trouble && !error.retry && error.status !== 404)) throw error;
        throw new Trouble(t("The live verdicts broke off."), t("The page tries again by itself."), { retry: true });
      } finally {
        clearTimeout(timer);
        signal.removeEventListener("abort", stop);
        silence.abort();
      }
    },
    { signal, onPause: () => {}, wake: client },
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
