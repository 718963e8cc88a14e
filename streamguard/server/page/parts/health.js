import { h, setText } from "./dom.js";
import { amount, percent } from "./wording.js";

/** @import { Stream } from "../api/types.js" */

const LOSSY = 0.02;
const SLOW_MS = 1_000;

/** @typedef {{fps: number | null, loss: number | null, rtt: number | null, decoded: number}} Playback */

/** How well the stream arrives, is judged and comes back: figures, and one word on top. */
export class HealthPanel {
  constructor() {
    this._word = h("span", { class: "health-word" }, "–");
    /** @type {Record<string, HTMLElement>} */
    this._values = {};
    const list = h("dl", { class: "figures" });
    for (const [key, label] of [
      ["received", "Arriving"],
      ["judged", "Judged"],
      ["dropped", "Skipped"],
      ["latency", "Verdict after"],
      ["loss", "Loss on the way in"],
      ["bitrate", "Data rate"],
      ["size", "Picture"],
      ["shown", "Shown here"],
      ["loss_here", "Loss on the way here"],
      ["rtt", "Round trip"],
      ["viewers", "Viewers"],
    ]) {
      const value = h("dd", {}, "–");
      this._values[key] = value;
      list.append(h("div", {}, h("dt", {}, label), value));
    }
    this.element = h(
      "section",
      { class: "panel", "aria-labelledby": "health-title" },
      h("div", { class: "panel-head" }, h("h2", { id: "health-title" }, "Connection"), this._word),
      list,
    );
    /** @type {Playback} */
    this._playback = { fps: null, loss: null, rtt: null, decoded: 0 };
  }

  /** @param {Playback} playback */
  showPlayback(playback) {
    this._playback = playback;
    this._set("shown", amount(playback.fps, "frames/s"));
    this._set("loss_here", percentOf(playback.loss));
    this._set("rtt", amount(playback.rtt === null ? null : playback.rtt * 1000, "ms"));
  }

  /** @param {Stream} stream */
  show(stream) {
    const { rates, totals, latency_ms: latency } = stream;
    this._set("received", amount(rates.received, "frames/s", 1));
    this._set("judged", amount(rates.judged, "frames/s", 1));
    this._set("dropped", `${amount(rates.dropped, "frames/s", 1)} (${totals.dropped} in all)`);
    this._set("latency", latency?.p50 ? `${amount(latency.p50, "ms")} (95 %: ${amount(latency.p95, "ms")})` : "–");
    this._set("loss", percentOf(stream.packet_loss ?? null));
    this._set("bitrate", amount(stream.bitrate_kbps, "kbit/s"));
    this._set("size", stream.width ? `${stream.width} × ${stream.height}` : "–");
    this._set("viewers", String(stream.viewers));
    const [level, word] = judge(stream, this._playback);
    this._word.dataset.level = level;
    setText(this._word, word);
  }

  /**
   * @param {string} key
   * @param {string} text
   */
  _set(key, text) {
    setText(this._values[key], text);
  }
}

/**
 * @param {Stream} stream
 * @param {Playback} playback
 * @returns {["good" | "fair" | "poor", string]}
 */
function judge(stream, playback) {
  if (stream.state !== "up") return ["poor", "No signal"];
  const loss = Math.max(stream.packet_loss ?? 0, playback.loss ?? 0);
  if (loss > LOSSY) return ["poor", `Packets are lost (${percent(loss)})`];
  if ((stream.latency_ms?.p95 ?? 0) > SLOW_MS) return ["fair", "Verdicts come late"];
  if (stream.sampling.reduced) return ["fair", "The server is busy: few frames are judged"];
  return ["good", "Good"];
}

/**
 * @param {number | null} share
 * @returns {string}
 */
function percentOf(share) {
  return share === null ? "–" : `${(share * 100).toFixed(1)} %`;
}

/** Reads what a player's connection tells of itself, as rates between two readings. */
export class PlaybackMeter {
  constructor() {
    /** @type {{lost: number, received: number} | null} */
    this._before = null;
    /** @type {RTCPeerConnection | null} */
    this._peer = null;
  }

  /**
   * @param {RTCPeerConnection | null} peer
   * @returns {Promise<Playback>}
   */
  async read(peer) {
    /** @type {Playback} */
    const playback = { fps: null, loss: null, rtt: null, decoded: 0 };
    if (peer !== this._peer) this._before = null;
    this._peer = peer;
    if (!peer) return playback;
    for (const report of (await peer.getStats()).values()) {
      if (report.type === "inbound-rtp" && report.kind === "video") {
        playback.fps = report.framesPerSecond ?? 0;
        playback.decoded = report.framesDecoded ?? 0;
        const now = { lost: report.packetsLost ?? 0, received: report.packetsReceived ?? 0 };
        const lost = Math.max(0, now.lost - (this._before?.lost ?? 0));
        const all = lost + Math.max(0, now.received - (this._before?.received ?? 0));
        playback.loss = this._before && all ? lost / all : null;
        this._before = now;
      } else if (report.type === "candidate-pair" && report.nominated && report.currentRoundTripTime !== undefined) {
        playback.rtt = report.currentRoundTripTime;
      }
    }
    return playback;
  }
}
