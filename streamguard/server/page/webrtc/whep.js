import { keepUp } from "../api/backoff.js";
import { asTrouble, Trouble } from "../api/trouble.js";
import { Session } from "./negotiation.js";

/** @import { Client } from "../api/client.js" */
/** @import { VerdictMessage } from "../api/types.js" */
/** @typedef {"connecting" | "playing" | "waiting" | "failed"} PlayerPhase */
/** @typedef {"live" | "exact" | "none"} Overlay */

/**
 * Plays a stream by WHEP into a video element, with the verdicts beside it on a data channel, and keeps it up. Its
 * "change" event tells a new phase.
 */
export class Player extends EventTarget {
  /**
   * @param {Client} client
   * @param {string} name the stream's
   * @param {HTMLVideoElement} video
   * @param {Overlay} overlay
   * @param {(message: VerdictMessage) => void} onVerdict
   */
  constructor(client, name, video, overlay, onVerdict) {
    super();
    this._client = client;
    this._name = name;
    this._video = video;
    this._overlay = overlay;
    this._onVerdict = onVerdict;
    /** @type {PlayerPhase} */
    this.phase = "connecting";
    /** @type {Trouble | null} */
    this.trouble = null;
    /** @type {RTCPeerConnection | null} */
    this.peer = null;
    this._stop = new AbortController();
    this._over = false;
  }

  /** Runs until it is stopped or fails for good; never throws. */
  async run() {
    try {
      await keepUp((established) => this._once(established), {
        signal: this._stop.signal,
        wake: this._client,
        onPause: (trouble) => this._set("waiting", trouble),
      });
    } catch (error) {
      if (!this._stop.signal.aborted) this._set("failed", asTrouble(error));
    }
  }

  /** @param {boolean} [over] whether the stream is, so that the server has ended the session */
  stop(over = false) {
    this._over = over;
    this._stop.abort();
    this._video.srcObject = null;
  }

  /** @param {() => void} established */
  async _once(established) {
    const signal = this._stop.signal;
    this._over = false;
    const peer = new RTCPeerConnection({ iceServers: await this._client.iceServers(), bundlePolicy: "max-bundle" });
    /** @type {Session | null} */
    let session = null;
    const attempt = new AbortController();
    const give = () => attempt.abort();
    signal.addEventListener("abort", give);
    try {
      peer.addTransceiver("video", { direction: "recvonly" });
      const channel = peer.createDataChannel("verdicts");
      channel.addEventListener("message", ({ data }) => this._onVerdict(JSON.parse(data)));
      // Only the server closes it, with the session.
      channel.addEventListener("close", () => {
        this._over = true;
        give();
      });
      peer.addEventListener("track", ({ track }) => this._show(track));
      session = await Session.open(
        this._client,
        peer,
        `whep/${encodeURIComponent(this._name)}?overlay=${this._overlay}`,
        signal,
      );
      this.peer = peer;
      await session.lasts(attempt.signal, established);
    } catch (error) {
      const trouble = asTrouble(error);
      // A stream that has just been announced may take a moment to be there.
      trouble.retry ||= trouble.status === 404 || trouble.status === 409;
      throw trouble;
    } finally {
      signal.removeEventListener("abort", give);
      this.peer = null;
      if (session && !this._over) session.close();
      else peer.close();
    }
  }

  /** @param {MediaStreamTrack} track */
  _show(track) {
    const video = this._video;
    video.srcObject = new MediaStream([track]);
    video.play().catch(() => {
      // Replaced or hidden before it began; the next one plays.
    });
    video.requestVideoFrameCallback(() => {
      if (!this._stop.signal.aborted) this._set("playing", null);
    });
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
