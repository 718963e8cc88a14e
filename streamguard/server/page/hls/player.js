import { t } from "../language/language.js";
import { keepUp, sleep } from "../api/backoff.js";
import { asTrouble, Trouble } from "../api/trouble.js";
import { readPlaylist } from "./playlist.js";
import { SegmentBuffer } from "./segment_buffer.js";

/** @import { Client } from "../api/client.js" */
/** @import { PlayerPhase } from "../webrtc/whep.js" */
/** @import { Playlist, Segment } from "./playlist.js" */

const AT_FIRST = 3;
const STALE = 20_000;

/**
 * Plays a stream's HLS output with its sound, and keeps it up. Its "change" event tells a new phase.
 *
 * Segments are fetched like everything else, with the token in a header; they come as fragmented MP4. Where a browser
 * has no media source (iPhones before iOS 17), its own player gets the playlist's address.
 */
export class HlsPlayer extends EventTarget {
  /**
   * @param {Client} client
   * @param {string} path of the playlist
   * @param {HTMLVideoElement} video
   */
  constructor(client, path, video) {
    super();
    this._client = client;
    this._path = path;
    this._video = video;
    /** @type {PlayerPhase} */
    this.phase = "connecting";
    /** @type {Trouble | null} */
    this.trouble = null;
    /** @type {RTCPeerConnection | null} there is none */
    this.peer = null;
    this._stop = new AbortController();
    /** @type {SegmentBuffer | null} */
    this._buffer = null;
  }

  /** Runs until it is stopped or fails for good; never throws. */
  async run() {
    const signal = this._stop.signal;
    const options = {
      signal,
      wake: this._client,
      onPause: (/** @type {Trouble} */ trouble) => this._set("waiting", trouble),
    };
    try {
      await keepUp((established) => this._once(established), options);
    } catch (error) {
      if (!signal.aborted) this._set("failed", asTrouble(error));
    }
  }

  stop() {
    this._stop.abort();
    // At once: the next player takes the element over.
    this._buffer?.close();
  }

  /** @param {() => void} established */
  async _once(established) {
    if (!SegmentBuffer.possible) return this._natively(established);
    const buffer = new SegmentBuffer(this._video);
    this._buffer = buffer;
    try {
      await buffer.open();
      let next = -1;
      for (;;) {
        const playlist = await this._playlist();
        const { segments, target } = playlist;
        const oldest = segments[0]?.number ?? 0;
        // What has left the playlist in the meantime is skipped.
        if (next < oldest) next = segments.at(-AT_FIRST)?.number ?? oldest;
        for (const segment of segments.filter(({ number }) => number >= next)) {
          await this._append(buffer, segment);
          if (buffer.segments === 1) this._shown(established);
          next = segment.number + 1;
        }
        await buffer.tidy(target);
        await sleep(target / 2, this._stop.signal);
        if (this._stop.signal.aborted) return;
      }
    } catch (error) {
      const trouble = asTrouble(error);
      // An output that has just begun has no playlist yet; a segment may be gone by the time it is asked for.
      trouble.retry ||= trouble.status === 404;
      throw trouble;
    } finally {
      buffer.close();
    }
  }

  /** @returns {Promise<Playlist>} */
  async _playlist() {
    const response = await this._client.fetch(this._path, { signal: this._stop.signal, cache: "no-store" });
    const playlist = readPlaylist(await response.text());
    const now = Date.parse(response.headers.get("Date") ?? "");
    const age = playlist.until === null || Number.isNaN(now) ? 0 : now - playlist.until;
    if (!playlist.segments.length || age > Math.max(STALE, 4000 * playlist.target)) {
      throw nothingNew();
    }
    return playlist;
  }

  /**
   * @param {SegmentBuffer} buffer
   * @param {Segment} segment
   */
  async _append(buffer, segment) {
    const path = this._path.replace(/[^/]*$/, encodeURIComponent(segment.name.replace(/\.ts$/, ".mp4")));
    const response = await this._client.fetch(path, { signal: this._stop.signal });
    const type = response.headers.get("Content-Type") ?? "";
    const start = Number(response.headers.get("Media-Start"));
    await buffer.append(await response.arrayBuffer(), type, start);
  }

  /** @param {() => void} established */
  async _natively(established) {
    const video = this._video;
    const over = new AbortController();
    const { signal } = over;
    try {
      await new Promise((_, reject) => {
        this._stop.signal.addEventListener("abort", () => reject(this._stop.signal.reason), { signal });
        video.addEventListener("error", () => reject(unplayable()), { signal });
        video.addEventListener("ended", () => reject(nothingNew()), { signal });
        video.addEventListener("timeupdate", () => this._plays(established), { signal, once: true });
        video.src = this._client.address(this._path);
        this._begin();
      });
    } finally {
      over.abort();
      video.removeAttribute("src");
      video.load();
    }
  }

  /** @param {() => void} established */
  _shown(established) {
    this._begin();
    this._video.requestVideoFrameCallback(() => this._plays(established));
  }

  _begin() {
    const video = this._video;
    video.play().catch(() => {
      // Sound needs a person's click first; the player's own controls switch it on.
      video.muted = true;
      video.play().catch(() => {});
    });
  }

  /** @param {() => void} established */
  _plays(established) {
    if (this._stop.signal.aborted) return;
    established();
    this._set("playing", null);
  }

  /**
   * @param {PlayerPhase} phase
   * @param {Trouble | null} trouble
   */
  _set(phase, trouble) {
    this.phase = phase;
    this.trouble = trouble;
    this.dispatchEvent(new Event("change"));
  }
}

function nothingNew() {
  return new Trouble(t("Nothing new is sent on."), t("The page tries again by itself."), { retry: true });
}

function unplayable() {
  return new Trouble(t("This browser cannot play the stream."), t("Choose other marks, or use another browser."), {
    retry: true,
  });
}
