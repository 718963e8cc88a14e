/** @import { Client } from "./client.js" */
/** @import { Incident, IncidentDetail, JudgedFrame, Mark } from "./types.js" */

const JUDGING = 120_000;
const HEADERS = { "Content-Type": "application/json" };

/** What the server remembers of people called fake. Everything throws Trouble. */
export class Incidents {
  /** @param {Client} client */
  constructor(client) {
    this._client = client;
  }

  /**
   * @param {URLSearchParams} filter
   * @param {string | null} cursor where the page before ended
   * @param {AbortSignal} signal
   * @returns {Promise<{incidents: Incident[], next: string | null}>} those that opened last first
   */
  async page(filter, cursor, signal) {
    const query = new URLSearchParams(filter);
    query.set("limit", "25");
    if (cursor) query.set("cursor", cursor);
    return (await this._client.fetch(`api/v1/incidents?${query}`, { signal })).json();
  }

  /**
   * @param {string} id
   * @param {AbortSignal} signal
   * @returns {Promise<IncidentDetail>}
   */
  async get(id, signal) {
    return (await this._client.fetch(path(id), { signal })).json();
  }

  /**
   * @param {string} id
   * @param {{mark: Mark | null, note: string}} change
   * @returns {Promise<Incident>}
   */
  async mark(id, change) {
    const body = JSON.stringify(change);
    return (await this._client.fetch(path(id), { method: "PATCH", body, headers: HEADERS })).json();
  }

  /**
   * The clip before an opening, judged again: it takes the server some seconds.
   *
   * @param {string} id
   * @param {string} event the opening
   * @param {AbortSignal} signal
   * @returns {Promise<{frames: JudgedFrame[], painted: Blob}>}
   */
  async judged(id, event, signal) {
    const clip = `${path(id)}/clips/${encodeURIComponent(event)}`;
    const { frames, video, media_type: type } = await (await this._client.fetch(clip, { signal, patience: JUDGING })).json();
    const bytes = Uint8Array.from(atob(video), (letter) => letter.charCodeAt(0));
    return { frames, painted: new Blob([bytes], { type }) };
  }

  /**
   * @param {string} id
   * @returns {Promise<Blob>} a page that needs nothing else
   */
  async report(id) {
    return this._client.blob(`${path(id)}/report`);
  }

  /**
   * @param {"csv" | "json"} kind
   * @param {URLSearchParams} filter
   * @returns {Promise<Blob>} all that fit
   */
  async all(kind, filter) {
    return this._client.blob(`api/v1/incidents.${kind}?${filter}`);
  }
}

/**
 * @param {string} id
 * @returns {string}
 */
function path(id) {
  return `api/v1/incidents/${encodeURIComponent(id)}`;
}
