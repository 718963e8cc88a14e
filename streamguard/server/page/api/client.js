import { t } from "../language/language.js";
import { isAbort, Trouble, troubleOf } from "./trouble.js";

/** @import { Scope, Stream, StreamEvent } from "./types.js" */

/**
 * @callback AskToken asks a person for a token, until there is one that is known
 * @param {boolean} wrong whether one was given that the server does not know
 * @param {(token: string) => Promise<boolean>} known whether the server knows it; throws Trouble
 * @returns {Promise<string | null>} null when the person does not want to
 */

const TOKEN_KEY = "streamguard.token";
const PATIENCE = 10_000;

/**
 * The server, seen from the page.
 *
 * Events: "gone" and "back" when the server stops or begins again to answer; "retry" when those who wait for it should
 * try at once.
 */
export class Client extends EventTarget {
  /** @param {AskToken} askToken */
  constructor(askToken) {
    super();
    this._askToken = askToken;
    /** @type {Promise<string | null> | null} */
    this._asking = null;
    /** @type {Promise<RTCIceServer[]> | undefined} */
    this._iceServers = undefined;
    /** @type {Promise<Scope[]> | undefined} */
    this._scopes = undefined;
    this._refused = false;
    this.reachable = true;
    /** When something was heard of the server last: milliseconds of `performance.now()`, and by the clock. */
    this.heardAt = performance.now();
    this.heard = new Date();
    this._token = sessionStorage.getItem(TOKEN_KEY);
  }

  /** @returns {Promise<Stream[]>} */
  async streams() {
    return (await this._json("api/v1/streams")).streams;
  }

  /**
   * @param {string} name
   * @param {AbortSignal} [signal]
   * @returns {Promise<Stream>}
   */
  async stream(name, signal) {
    return this._json(`api/v1/streams/${encodeURIComponent(name)}`, { signal });
  }

  /**
   * @param {{source: string, name?: string}} wanted
   * @returns {Promise<Stream>}
   */
  async watch(wanted) {
    const body = JSON.stringify(wanted);
    return this._json("api/v1/streams", { method: "POST", body, headers: { "Content-Type": "application/json" } });
  }

  /** @param {string} name */
  async remove(name) {
    await this.fetch(`api/v1/streams/${encodeURIComponent(name)}`, { method: "DELETE" });
  }

  /**
   * @param {Record<string, string>} filter
   * @param {AbortSignal} [signal]
   * @returns {Promise<StreamEvent[]>} newest first
   */
  async events(filter, signal) {
    return (await this._json(`api/v1/events?${new URLSearchParams(filter)}`, { signal })).events;
  }

  /** @returns {Promise<RTCIceServer[]>} */
  async iceServers() {
    this._iceServers ??= this._json("api/v1/ice-servers").then((answer) => answer.ice_servers);
    try {
      return await this._iceServers;
    } catch (error) {
      this._iceServers = undefined;
      throw error;
    }
  }

  /** @returns {Promise<Scope[]>} what the token opens, asked for once */
  async scopes() {
    this._scopes ??= this._json("api/v1/access").then((answer) => answer.scopes);
    try {
      return await this._scopes;
    } catch (error) {
      this._scopes = undefined;
      throw error;
    }
  }

  /** @returns {Promise<Record<string, string>>} header fields that say who asks, for what `fetch` cannot do */
  async credentials() {
    await this.scopes();
    return this._token ? { Authorization: `Bearer ${this._token}` } : {};
  }

  /**
   * @param {string} path
   * @param {AbortSignal} [signal]
   * @returns {Promise<Blob>}
   */
  async blob(path, signal) {
    return (await this.fetch(path, { signal })).blob();
  }

  /**
   * A request with the token, in its header and never in the address. Asks for a token where the server wants one.
   *
   * @param {string} path relative to the page
   * @param {RequestInit & {patience?: number}} [init] `patience`: milliseconds to wait for the answer's head
   * @returns {Promise<Response>} one with a status of 2xx
   * @throws {Trouble}
   */
  async fetch(path, init = {}) {
    let response = await this._send(path, init);
    if (response.status === 401 && (await this._newToken())) response = await this._send(path, init);
    if (!response.ok) throw await troubleOf(response);
    return response;
  }

  /**
   * An address with the token in it, for a player of the browser's own that sends no headers; nothing else may use it.
   *
   * @param {string} path relative to the page
   * @returns {string}
   */
  address(path) {
    const url = new URL(path, document.baseURI);
    if (this._token) url.searchParams.set("access_token", this._token);
    return url.href;
  }

  /** Something came from the server. */
  hear() {
    this.heardAt = performance.now();
    this.heard = new Date();
    this._answered(true);
  }

  /**
   * Asks whether it is there.
   *
   * @param {number} patience milliseconds
   */
  async ping(patience) {
    await this._send("health/live", { patience, cache: "no-store" }).catch(() => {});
  }

  /** Tells everybody who waits for the server to try now. */
  retryNow() {
    this._refused = false;
    this.dispatchEvent(new Event("retry"));
  }

  /**
   * @param {string} path
   * @param {RequestInit} [init]
   * @returns {Promise<any>}
   */
  async _json(path, init) {
    return (await this.fetch(path, init)).json();
  }

  /**
   * @param {string} path
   * @param {RequestInit & {patience?: number}} init
   * @returns {Promise<Response>}
   */
  async _send(path, { patience = PATIENCE, signal, ...init }) {
    const headers = new Headers(init.headers);
    if (this._token && !headers.has("Authorization")) headers.set("Authorization", `Bearer ${this._token}`);
    const began = performance.now();
    const late = new AbortController();
    const giveUp = () => late.abort();
    const timer = setTimeout(giveUp, patience);
    signal?.addEventListener("abort", giveUp);
    if (signal?.aborted) giveUp();
    try {
      const response = await fetch(new URL(path, document.baseURI), { ...init, headers, signal: late.signal });
      this.hear();
      return response;
    } catch (error) {
      if (isAbort(error) && signal?.aborted) throw error;
      // One slow answer among others says nothing.
      if (!isAbort(error) || this.heardAt < began) this._answered(false);
      throw new Trouble(
        t("The streamguard server does not answer."),
        t("Check that it is running and that you are online."),
        { retry: true },
      );
    } finally {
      // The body of a stream of events goes on: only the signal of the caller ends it, not the clock.
      clearTimeout(timer);
    }
  }

  /** @param {boolean} reachable */
  _answered(reachable) {
    if (reachable === this.reachable) return;
    this.reachable = reachable;
    this.dispatchEvent(new Event(reachable ? "back" : "gone"));
  }

  /**
   * @param {string} token
   * @returns {Promise<boolean>} whether the server knows it
   */
  async _knows(token) {
    // A header field takes no other characters, and no token has them.
    if (!/^[\x21-\x7e]+$/.test(token)) return false;
    const response = await this._send("api/v1/access", { headers: { Authorization: `Bearer ${token}` } });
    if (!response.ok && response.status !== 401) throw await troubleOf(response);
    return response.ok;
  }

  /** @returns {Promise<boolean>} whether there is a new token to try */
  async _newToken() {
    // Who refused once is asked again only after they did something.
    if (this._refused) return false;
    this._asking ??= this._askToken(this._token !== null, (token) => this._knows(token)).finally(() => {
      this._asking = null;
    });
    const token = await this._asking;
    if (!token) {
      this._refused = true;
      return false;
    }
    this._token = token;
    this._scopes = undefined;
    sessionStorage.setItem(TOKEN_KEY, token);
    return true;
  }
}
