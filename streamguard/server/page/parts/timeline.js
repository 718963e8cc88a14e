import { t } from "../language/language.js";
import { h, setText } from "./dom.js";
import { Frame, lookOf, paintGrid, paintRun, paintWords, SPAN } from "./timeline_paint.js";
import { headlineOf, percent, stateWord } from "./wording.js";

/** @import { Verdict, Vote } from "../api/types.js" */
/** @import { Look } from "./timeline_paint.js" */

const GAP = 1_500;
const FRAME = 100;
const SPOKEN = 5_000;
/** @type {Verdict[]} */
const KEYS = ["REAL", "UNSURE", "FAKE", "UNKNOWN"];

/** @typedef {{at: number, share: number | null, state: Verdict}} Sample */

/**
 * The share of fake frames over the last minute, with the lines at which the vote opens and closes. States differ by
 * pattern and place, not by colour alone.
 */
export class Timeline {
  constructor() {
    /** @type {Vote | null} */
    this._vote = null;
    /** @type {Sample[]} */
    this._samples = [];
    this._canvas = h("canvas", {
      class: "timeline-canvas",
      role: "img",
      "aria-label": t("Timeline: nothing judged yet."),
    });
    this._now = h("output", { class: "timeline-now", "aria-live": "off" }, "–");
    this.element = h(
      "section",
      { class: "panel timeline", "aria-labelledby": "timeline-title" },
      h("div", { class: "panel-head" }, h("h2", { id: "timeline-title" }, t("Frames that look fake")), this._now),
      this._canvas,
      h(
        "p",
        { class: "legend", "aria-hidden": "true" },
        ...KEYS.map((state) => h("span", { class: "key", "data-state": state }, headlineOf(state))),
      ),
    );
    /** @type {Look | undefined} */
    this._look = undefined;
    this._drawn = 0;
    this._told = 0;
    this._request = 0;
    this._calm = matchMedia("(prefers-reduced-motion: reduce)");
    this._dark = matchMedia("(prefers-color-scheme: dark)");
    this._resized = new ResizeObserver(() => {
      this._look = undefined;
      this._draw(performance.now());
    });
    this._tick = this._tick.bind(this);
    this._recolour = () => {
      this._look = undefined;
      this._drawn = 0;
    };
  }

  start() {
    this._resized.observe(this._canvas);
    this._dark.addEventListener("change", this._recolour);
    this._request = requestAnimationFrame(this._tick);
  }

  stop() {
    this._resized.disconnect();
    this._dark.removeEventListener("change", this._recolour);
    cancelAnimationFrame(this._request);
  }

  /** @param {Vote} vote its shares are drawn as lines */
  setVote(vote) {
    this._vote = vote;
  }

  /**
   * @param {number | null} share 0..1; null when nothing was judged
   * @param {Verdict} state the stream's
   */
  push(share, state) {
    const at = performance.now();
    this._samples.push({ at, share, state });
    while (this._samples.length && this._samples[0].at < at - SPAN - GAP) this._samples.shift();
    if (at - this._told < SPOKEN) return;
    this._told = at;
    this._canvas.setAttribute("aria-label", this._summary());
  }

  /**
   * The number beside the title.
   *
   * @param {number | null} share 0..1
   * @param {Verdict} state
   */
  say(share, state) {
    setText(this._now, percent(share));
    this._now.dataset.state = state;
  }

  /** @returns {string} */
  _summary() {
    const shares = this._samples.map(({ share }) => share).filter((share) => share !== null);
    if (!shares.length) return t("Timeline: nothing judged in the last minute.");
    const { share, state } = this._samples[this._samples.length - 1];
    return t("Timeline of the last minute: now {now}, {state}; at most {most}.", {
      now: percent(share),
      state: stateWord(state),
      most: percent(Math.max(...shares)),
    });
  }

  /** @param {number} now */
  _tick(now) {
    if (now - this._drawn >= (this._calm.matches ? 1000 : FRAME)) this._draw(now);
    this._request = requestAnimationFrame(this._tick);
  }

  /** @param {number} now milliseconds */
  _draw(now) {
    const { clientWidth: width, clientHeight: height } = this._canvas;
    const pen = this._canvas.getContext("2d");
    if (!pen || width < 80 || height < 60) return;
    this._drawn = now;
    const scale = devicePixelRatio || 1;
    if (this._canvas.width !== Math.round(width * scale) || this._canvas.height !== Math.round(height * scale)) {
      this._canvas.width = Math.round(width * scale);
      this._canvas.height = Math.round(height * scale);
    }
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    this._look ??= lookOf(this._canvas);
    const frame = new Frame(now, width, height, this._look.size);
    paintGrid(pen, frame, this._look, this._vote);
    for (const run of runsOf(this._samples, now)) paintRun(pen, frame, this._look, run);
    paintWords(pen, frame, this._look, this._vote);
  }
}

/**
 * Neighbouring samples of one state; a pause between samples cuts, too.
 *
 * @param {Sample[]} samples
 * @param {number} now
 * @returns {Sample[][]}
 */
function runsOf(samples, now) {
  /** @type {Sample[][]} */
  const runs = [];
  /** @type {Sample | null} */
  let last = null;
  for (const sample of samples) {
    if (sample.at < now - SPAN - GAP) continue;
    const run = runs[runs.length - 1];
    if (run && last && sample.at - last.at < GAP && last.state === sample.state) {
      run.push(sample);
    } else {
      // The line goes on where only the state changed.
      if (run && last && sample.at - last.at < GAP) run.push(sample);
      runs.push([sample]);
    }
    last = sample;
  }
  return runs;
}
