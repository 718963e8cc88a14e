/** @import { Client } from "./client.js" */
/** @import { Delivery, Webhook } from "./types.js" */

const HEADERS = { "Content-Type": "application/json" };

/** The server's webhooks. Everything throws Trouble. */
export class Webhooks {
  /** @param {Client} client */
  constructor(client) {
    this._client = client;
  }

  /** @returns {Promise<Webhook[]>} oldest first */
  async list() {
    return (await this._ask("")).webhooks;
  }

  /**
   * @param {{url: string, name: string}} wanted
   * @returns {Promise<{webhook: Webhook, secret: string}>}
   */
  async add(wanted) {
    return this._ask("", { method: "POST", body: JSON.stringify(wanted), headers: HEADERS });
  }

  /**
   * @param {string} id
   * @param {"pause" | "resume" | "test"} action
   */
  async tell(id, action) {
    await this._ask(`/${encodeURIComponent(id)}/${action}`, { method: "POST" });
  }

  /** @param {string} id */
  async remove(id) {
    await this._client.fetch(`api/v1/webhooks/${encodeURIComponent(id)}`, { method: "DELETE" });
  }

  /**
   * @param {string} id
   * @returns {Promise<Delivery[]>} newest first
   */
  async deliveries(id) {
    return (await this._ask(`/${encodeURIComponent(id)}/deliveries?limit=5`)).deliveries;
  }

  /**
   * @param {string} path
   * @param {RequestInit} [init]
   * @returns {Promise<any>}
   */
  async _ask(path, init) {
    return (await this._client.fetch(`api/v1/webhooks${path}`, init)).json();
  }
}
