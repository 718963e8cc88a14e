/** @import { Client } from "./client.js" */

const LOOK = 400;
const SILENT = 1_000;
const PATIENCE = 1_300;

/**
 * Watches whether the server answers at all: where nothing was heard of it for a second, it is asked. What a page shows
 * is known to be old within three seconds, whether the server was ended, hangs, or is out of reach.
 */
export class Pulse {
  /** @param {Client} client */
  constructor(client) {
    this._client = client;
    this._asking = false;
  }

  start() {
    setInterval(() => void this._look(), LOOK);
    document.addEventListener("visibilitychange", () => void this._look());
  }

  async _look() {
    if (this._asking || performance.now() - this._client.heardAt < SILENT) return;
    this._asking = true;
    await this._client.ping(PATIENCE);
    this._asking = false;
  }
}
