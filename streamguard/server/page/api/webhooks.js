/** @import { Client } from "./client.js" */
/** @import { Delivery, Rule, Webhook } from "./types.js" */

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

  /**
   * @param {string} id
   * @param {Rule} rule the whole of it
   */
  async changeRule(id, rule) {
    await this._ask(`/${encodeURIComponent(id)}`, {
      method: "PATCH",
      body: JSON.stringify({ rule }),
      headers: HEADERS,
    });
  }

  /**
   * @param {string} id
   * @param {number} overlap seconds for which the old secret signs, too
   * @returns {Promise<string>} the new secret
   */
  async rotate(id, overlap) {
    const body = JSON.stringify({ overlap_seconds: overlap });
    return (await this._ask(`/${encodeURIComponent(id)}/rotate`, { method: "POST", body, headers: HEADERS })).secret;
  }

  /**
   * Sends one message again.
   *
   * @param {string} id
   * @param {string} delivery its id
   */
  async replay(id, delivery) {
    const path = `/${encodeURIComponent(id)}/deliveries/${encodeURIComponent(delivery)}/replay`;
    await this._ask(path, { method: "POST" });
  }

  /**
   * Sends again what happened in a time.
   *
   * @param {string} id
   * @param {Date} since
   * @param {Date} until
   * @returns {Promise<number>} how many messages
   */
  async replayRange(id, since, until) {
    const body = JSON.stringify({ since: since.toISOString(), until: until.toISOString() });
    const path = `/${encodeURIComponent(id)}/replay`;
    return (await this._ask(path, { method: "POST", body, headers: HEADERS })).deliveries;
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
