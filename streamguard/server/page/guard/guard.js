import { followStream } from "../api/events.js";

/** @import { Client } from "../api/client.js" */
/** @import { Stream, StreamEvent, Verdict } from "../api/types.js" */
/** @import { Publisher } from "../webrtc/whip.js" */

const LOOK = 500;
const LATE = 3_000;

/**
 * A camera or call that this page sends, watched over whichever view is shown, and while the tab is hidden: by the
 * stream of events, which browsers do not slow down as they do timers. Its "change" event tells what is said of it.
 */
export class Guard extends EventTarget {
  /**
   * @param {Client} client
   * @param {Publisher} publisher begins to send with `start`
   * @param {(event: StreamEvent) => void} onEvent
   */
  constructor(client, publisher, onEvent) {
    super();
    this._client = client;
    this.publisher = publisher;
    this._onEvent = onEvent;
    this._stop = new AbortController();
    /** @type {Verdict} */
    this.verdict = "UNKNOWN";
    /** @type {number | null} */
    this.share = null;
    this.faces = 0;
    /** @type {Stream | null} */
    this.stream = null;
    /** When it was heard of last. @type {Date | null} */
    this.heard = null;
    this._heardAt = Infinity;
    /** Since when nothing is heard of it. @type {Date | null} */
    this.stale = null;
  }

  /** @returns {string} the stream's */
  get name() {
    return this.publisher.name;
  }

  /** @returns {boolean} whether nothing is sent any more */
  get over() {
    return this.publisher.phase === "ended" || this.publisher.phase === "failed";
  }

  start() {
    this.publisher.addEventListener("change", () => {
      if (this.over) this._end();
      this._tell();
    });
    void this.publisher.run();
    this._ticker = setInterval(() => this._look(), LOOK);
    void this._follow();
  }

  /** Ends the sending, too. */
  stop() {
    this.publisher.stop();
    this._end();
  }

  async _follow() {
    const signal = this._stop.signal;
    try {
      await followStream(this._client, this.name, { signal, onEvent: (kind, data) => this._take(kind, data) });
    } catch {
      // A token that may send but not see; what the page shows says so.
    }
  }

  /**
   * @param {string} kind
   * @param {any} data
   */
  _take(kind, data) {
    this.heard = new Date();
    this._heardAt = performance.now();
    this.stale = null;
    if (kind === "alert") this._onEvent(data);
    else if (kind === "state") {
      this.stream = data;
      if (data.state === "up") return;
      this._say("UNKNOWN", null, 0);
    } else if (kind === "verdict") {
      this._say(data.state, data.state === "UNSURE" ? data.suspect_share : data.share, data.faces.length);
    }
  }

  /**
   * @param {Verdict} verdict
   * @param {number | null} share
   * @param {number} faces
   */
  _say(verdict, share, faces) {
    this.verdict = verdict;
    this.share = share;
    this.faces = faces;
    this._tell();
  }

  _look() {
    const late = performance.now() - this._heardAt > LATE || (this.heard !== null && !this._client.reachable);
    if (late === Boolean(this.stale)) return;
    this.stale = late ? this.heard : null;
    this._tell();
  }

  _tell() {
    this.dispatchEvent(new Event("change"));
  }

  _end() {
    this._stop.abort();
    clearInterval(this._ticker);
  }
}
