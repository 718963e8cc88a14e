import { h } from "./dom.js";

/** @import { Client } from "../api/client.js" */

const AT_ONCE = 3;
let running = 0;

/**
 * A stream's newest judged picture with its marks, fetched again now and then: far lighter than a video. At most a
 * few are fetched at once on the whole page; one that finds no room waits for its next turn.
 */
export class Snapshot {
  /**
   * @param {Client} client
   * @param {string} name the stream's
   */
  constructor(client, name) {
    this._client = client;
    this._path = `api/v1/streams/${encodeURIComponent(name)}/snapshot?mask=1`;
    this.element = h("img", { class: "snapshot", alt: "", hidden: true });
    this._stop = new AbortController();
    this._busy = false;
    /** @type {string | null} */
    this._url = null;
  }

  /** @returns {Promise<void>} when it is shown, or could not be had */
  async refresh() {
    if (this._busy || running >= AT_ONCE || this._stop.signal.aborted) return;
    this._busy = true;
    running += 1;
    try {
      const url = URL.createObjectURL(await this._client.blob(this._path, this._stop.signal));
      if (this._stop.signal.aborted) {
        URL.revokeObjectURL(url);
        return;
      }
      const before = this._url;
      this._url = url;
      this.element.src = url;
      await this.element.decode();
      this.element.hidden = false;
      if (before) URL.revokeObjectURL(before);
    } catch {
      // No judged frame yet, or no server: the last picture stays, the stream's state tells the rest.
    } finally {
      this._busy = false;
      running -= 1;
    }
  }

  stop() {
    this._stop.abort();
    if (this._url) URL.revokeObjectURL(this._url);
  }
}
