import { Incidents } from "../api/incidents.js";
import { isAbort } from "../api/trouble.js";
import { N, number, t } from "../language/language.js";
import { h, setText } from "./dom.js";
import { ScoreCurve } from "./score_curve.js";

/** @import { Client } from "../api/client.js" */

const APART = 0.12;
const STEP = 0.04;

/** @type {[string, string][]} */
const SHOWN = [
  ["both", N("Side by side")],
  ["original", N("Original")],
  ["painted", N("With mask")],
];

/**
 * The clip of an opening, as it was and with the mask on it, both at the same moment, above the score along it. One
 * slider moves all of it.
 */
export class ClipPlayer {
  /**
   * @param {Client} client
   * @param {string} incident its id
   * @param {{event: string, href: string}} clip
   */
  constructor(client, incident, clip) {
    this._client = client;
    this._incident = incident;
    this._clip = clip;
    this._stop = new AbortController();
    /** @type {string[]} */
    this._urls = [];
    this._original = video(t("The clip as it was"));
    this._painted = video(t("The clip with the mask on what looks manipulated"));
    this._painted.hidden = true;
    this._working = h("p", { class: "clip-working", role: "status" }, t("The mask is being drawn …"));
    this._play = h("button", { type: "button", class: "primary clip-play", disabled: true }, t("Play"));
    this._slider = h("input", { type: "range", min: "0", max: "0", step: String(STEP), "aria-label": t("Moment of the clip") });
    this._time = h("output", { class: "clip-time", "aria-live": "off" });
    this._curve = new ScoreCurve(t("Score along the clip"), (x) => this._seek(x));
    this._pair = h(
      "div",
      { class: "clip-pair", "data-shown": "both" },
      figure(t("Original"), this._original),
      figure(t("With mask"), this._painted, this._working),
    );
    this.element = h(
      "div",
      { class: "clip" },
      this._choice(),
      this._pair,
      h("div", { class: "clip-tools" }, this._play, this._slider, this._time),
      h("p", { class: "clip-caption" }, t("Score of the most suspect face in each frame")),
      this._curve.canvas,
    );
    this._listen();
  }

  async start() {
    try {
      this._original.src = this._url(await this._client.blob(this._clip.href.replace(/^\//, ""), this._stop.signal));
    } catch (error) {
      if (!isAbort(error)) setText(this._time, t("The clip is no longer kept."));
      return;
    }
    try {
      const incidents = new Incidents(this._client);
      const { frames, painted } = await incidents.judged(this._incident, this._clip.event, this._stop.signal);
      this._painted.src = this._url(painted);
      this._painted.hidden = false;
      this._working.remove();
      const end = frames.at(-1)?.time ?? 1;
      this._curve.show(
        frames.map(({ time, score }) => ({ x: time, score })),
        end,
        1,
      );
      this._follow();
    } catch (error) {
      if (!isAbort(error)) setText(this._working, t("The mask cannot be drawn here. The picture with the mask is below."));
    }
  }

  stop() {
    this._stop.abort();
    this._curve.stop();
    for (const url of this._urls) URL.revokeObjectURL(url);
  }

  _choice() {
    const radios = SHOWN.map(([value, label]) => {
      const input = h("input", { type: "radio", name: `shown-${this._clip.event}`, value, checked: value === "both" });
      input.addEventListener("change", () => {
        this._pair.dataset.shown = value;
      });
      return h("label", {}, input, h("span", {}, t(label)));
    });
    return h("fieldset", { class: "segments" }, h("legend", { class: "unseen" }, t("What is shown")), ...radios);
  }

  _listen() {
    const original = this._original;
    this._play.addEventListener("click", () => {
      if (original.paused) void original.play();
      else original.pause();
    });
    this._slider.addEventListener("input", () => this._seek(this._slider.valueAsNumber));
    original.addEventListener("loadedmetadata", () => {
      this._slider.max = String(original.duration);
      this._play.disabled = false;
      this._follow();
    });
    original.addEventListener("play", () => {
      setText(this._play, t("Pause"));
      void this._painted.play().catch(() => {});
      requestAnimationFrame(() => this._tick());
    });
    for (const kind of ["pause", "ended"]) {
      original.addEventListener(kind, () => {
        setText(this._play, t("Play"));
        this._painted.pause();
        this._follow();
      });
    }
    original.addEventListener("seeked", () => this._follow());
  }

  /** @param {number} seconds */
  _seek(seconds) {
    this._original.currentTime = Math.min(seconds, this._original.duration || 0);
    this._follow();
  }

  _tick() {
    this._follow();
    if (!this._original.paused && !this._stop.signal.aborted) requestAnimationFrame(() => this._tick());
  }

  /** Slider, curve and the other video go where the original is. */
  _follow() {
    const { currentTime: now, duration } = this._original;
    if (Math.abs(this._painted.currentTime - now) > APART) this._painted.currentTime = now;
    this._slider.value = String(now);
    this._curve.at(now);
    const digits = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
    const values = { now: number(now, digits), end: number(duration || 0, digits) };
    const words = t("{now} of {end} s", values);
    setText(this._time, words);
    this._slider.setAttribute("aria-valuetext", words);
  }

  /**
   * @param {Blob} blob
   * @returns {string}
   */
  _url(blob) {
    const url = URL.createObjectURL(blob);
    this._urls.push(url);
    return url;
  }
}

/**
 * @param {string} label
 * @returns {HTMLVideoElement}
 */
function video(label) {
  const made = h("video", { playsinline: true, preload: "auto", disablepictureinpicture: true, "aria-label": label });
  made.muted = true;
  return made;
}

/**
 * @param {string} caption
 * @param {...HTMLElement} content
 */
function figure(caption, ...content) {
  return h("figure", {}, ...content, h("figcaption", {}, caption));
}
