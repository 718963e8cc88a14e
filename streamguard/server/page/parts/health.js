import { N, t } from "../language/language.js";
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
      ["received", N("Arriving")],
      ["judged", N("Judged")],
      ["dropped", N("Skipped")],
      ["latency", N("Verdict after")],
      ["loss", N("Loss on the way in")],
      ["bitrate", N("Data rate")],
      ["size", N("Picture")],
      ["shown", N("Shown here")],
      ["loss_here", N("Loss on the way here")],
      ["rtt", N("Round trip")],
      ["viewers", N("Viewers")],
    ]) {
      const value = h("dd", {}, "–");
      this._values[key] = value;
      list.append(h("div", {}, h("dt", {}, t(label)), value));
    }
    this.element = h(
      "section",
      { class: "panel", "aria-labelledby": "health-title" },
      h("div", { class: "panel-head" }, h("h2", { id: "health-title" }, t("Connection")), this._word),
      list,
    );
    /** @type {Playback} */
    this._playback = { fps: null, loss: null, rtt: null, decoded: 0 };
  }

  /** @param {Playback} playback */
  showPlayback(playback) {
    this._playback = playback;
    this._set("shown", amount(playback.fps, N("{value} frames/s")));
    this._set("loss_here", percent(playback.loss, 1));
    this._set("rtt", amount(playback.rtt === null ? null : playback.rtt * 1000, N("{value} ms")));
  }

  /** @param {Stream} stream */
  show(stream) {
    const { rates, totals, latency_ms: latency } = stream;
    this._set("received", amount(rates.received, N("{value} frames/s"), 1));
    const judged = amount(rates.judged, N("{value} frames/s"), 1);
    const most = stream.sampling.judged_per_second;
    this._set("judged", most === null ? judged : t("{judged} (no more than {most} asked for)", { judged, most }));
    const rate = amount(rates.dropped, N("{value} frames/s"), 1);
    this._set("dropped", t("{rate} ({count} in all)", { rate, count: totals.dropped }));
    const [middle, late] = [latency?.p50, latency?.p95].map((value) => amount(value, N("{value} ms")));
    this._set("latency", latency?.p50 ? `${middle} (${percent(0.95)}: ${late})` : "–");
    this._set("loss", percent(stream.packet_loss, 1));
    this._set("bitrate", amount(stream.bitrate_kbps, N("{value} kbit/s")));
    this._set("size", stream.width ? `${stream.width} × ${stream.height}` : "–");
    this._set("viewers", String(stream.viewers));
    const [level, word] = judge(stream, this._playback);
    this._word.dataset.level = level;
    setText(this._word, word);
  }

  /** The server does not answer: what is shown is of the past. */
  stale() {
    this._word.dataset.level = "poor";
    setText(this._word, t("No answer"));
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
  if (stream.state !== "up") return ["poor", t("No signal")];
  const loss = Math.max(stream.packet_loss ?? 0, playback.loss ?? 0);
  if (loss > LOSSY) return ["poor", t("Packets are lost ({share})", { share: percent(loss) })];
  if ((stream.latency_ms?.p95 ?? 0) > SLOW_MS) return ["fair", t("Verdicts come late")];
  if (stream.sampling.reduced) return ["fair", t("The server is busy: few frames are judged")];
  return ["good", t("Good")];
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
