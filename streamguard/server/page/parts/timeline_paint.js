import { t } from "../language/language.js";
import { percent } from "./wording.js";

/** @import { Verdict, Vote } from "../api/types.js" */
/** @import { Sample } from "./timeline.js" */

/** Milliseconds from one side to the other. */
export const SPAN = 60_000;

/** Where moments and shares lie on the canvas. */
export class Frame {
  /**
   * @param {number} now
   * @param {number} width
   * @param {number} height
   * @param {number} size of the type, which the margins hold, in pixels
   */
  constructor(now, width, height, size) {
    this.now = now;
    this.left = 3.7 * size;
    this.right = width - 4;
    this.top = size;
    this.foot = height;
    this.base = height - 2 * size;
    this.ribbon = this.base - 0.7 * size;
    this.floor = this.ribbon - 0.5 * size;
  }

  /** @param {number} at */
  x(at) {
    const x = this.right - ((this.now - at) / SPAN) * (this.right - this.left);
    return Math.min(this.right, Math.max(this.left, x));
  }

  /** @param {number} share */
  y(share) {
    return this.floor - share * (this.floor - this.top);
  }
}

/**
 * @typedef {object} Look
 * @property {string} ink
 * @property {string} line
 * @property {string} ground
 * @property {Record<Verdict, string>} state
 * @property {string} font
 * @property {number} size of the type in pixels
 */

/**
 * @param {Element} element
 * @returns {Look}
 */
export function lookOf(element) {
  const style = getComputedStyle(element);
  const value = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  return {
    ink: value("--ink-2"),
    line: value("--line"),
    ground: value("--surface"),
    state: {
      REAL: value("--real"),
      UNSURE: value("--unsure"),
      FAKE: value("--fake"),
      UNKNOWN: value("--unknown"),
    },
    font: `${parseFloat(style.fontSize)}px ${style.fontFamily}`,
    size: parseFloat(style.fontSize),
  };
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Frame} frame
 * @param {Look} look
 * @param {Vote | null} vote
 */
export function paintGrid(pen, frame, look, vote) {
  pen.lineWidth = 1;
  for (const share of [0, 1]) rule(pen, frame, frame.y(share), look.line, []);
  if (!vote) return;
  rule(pen, frame, frame.y(vote.open_share), look.ink, [6, 4]);
  rule(pen, frame, frame.y(vote.close_share), look.ink, [1, 4]);
}

/**
 * The words lie above the curve, with a rim in the ground's colour, so that they can be read on it.
 *
 * @param {CanvasRenderingContext2D} pen
 * @param {Frame} frame
 * @param {Look} look
 * @param {Vote | null} vote
 */
export function paintWords(pen, frame, look, vote) {
  pen.font = look.font;
  pen.fillStyle = look.ink;
  pen.strokeStyle = look.ground;
  pen.lineWidth = 4;
  pen.lineJoin = "round";
  /** @type {(text: string, x: number, y: number, align: CanvasTextAlign, baseline: CanvasTextBaseline) => void} */
  const write = (text, x, y, align, baseline) => {
    pen.textAlign = align;
    pen.textBaseline = baseline;
    pen.strokeText(text, x, y);
    pen.fillText(text, x, y);
  };
  for (const share of vote ? [0, vote.close_share, vote.open_share, 1] : [0, 1]) {
    write(percent(share), frame.left - 8, frame.y(share), "right", "middle");
  }
  if (vote) {
    write(t("called fake above"), frame.left + 4, frame.y(vote.open_share) - 3, "left", "bottom");
    write(t("released below"), frame.left + 4, frame.y(vote.close_share) + 4, "left", "top");
  }
  write(t("1 min ago"), frame.left, frame.foot, "left", "bottom");
  write(t("30 s"), (frame.left + frame.right) / 2, frame.foot, "center", "bottom");
  write(t("now"), frame.right, frame.foot, "right", "bottom");
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Frame} frame
 * @param {number} y
 * @param {string} colour
 * @param {number[]} dash
 */
function rule(pen, frame, y, colour, dash) {
  pen.strokeStyle = colour;
  pen.setLineDash(dash);
  pen.beginPath();
  pen.moveTo(frame.left, Math.round(y) + 0.5);
  pen.lineTo(frame.right, Math.round(y) + 0.5);
  pen.stroke();
  pen.setLineDash([]);
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Frame} frame
 * @param {Look} look
 * @param {Sample[]} run
 */
export function paintRun(pen, frame, look, run) {
  const state = run[0].state;
  const colour = look.state[state];
  const begin = frame.x(run[0].at);
  const end = Math.max(begin + 1, frame.x(run[run.length - 1].at));
  const points = run.filter(({ share }) => share !== null);
  if (points.length) {
    pen.beginPath();
    for (const { at, share } of points) pen.lineTo(frame.x(at), frame.y(share ?? 0));
    pen.strokeStyle = colour;
    pen.lineWidth = state === "FAKE" ? 3 : 2;
    pen.lineJoin = "round";
    pen.stroke();
    pen.lineTo(frame.x(points[points.length - 1].at), frame.floor);
    pen.lineTo(frame.x(points[0].at), frame.floor);
    pen.closePath();
    pen.globalAlpha = state === "FAKE" ? 0.22 : 0.1;
    pen.fillStyle = colour;
    pen.fill();
    pen.globalAlpha = 1;
  }
  paintRibbon(pen, frame, colour, state, begin, end);
}

/**
 * The strip under the curve: FAKE full height with stripes, UNSURE blocks, REAL a low bar, NOT JUDGED dots.
 *
 * @param {CanvasRenderingContext2D} pen
 * @param {Frame} frame
 * @param {string} colour
 * @param {Verdict} state
 * @param {number} begin
 * @param {number} end
 */
function paintRibbon(pen, frame, colour, state, begin, end) {
  const height = frame.base - frame.ribbon;
  const middle = frame.ribbon + height / 2;
  pen.fillStyle = colour;
  if (state === "REAL") {
    pen.fillRect(begin, middle - 1.5, end - begin, 3);
    return;
  }
  if (state === "UNSURE") {
    for (let x = Math.floor(begin / 10) * 10; x < end; x += 10) {
      const left = Math.max(begin, x);
      pen.fillRect(left, middle - 3, Math.max(0, Math.min(end, x + 7) - left), 6);
    }
    return;
  }
  if (state === "UNKNOWN") {
    for (let x = Math.ceil(begin / 6) * 6; x <= end; x += 6) pen.fillRect(x, middle - 1, 2, 2);
    return;
  }
  pen.save();
  pen.beginPath();
  pen.rect(begin, frame.ribbon, end - begin, height);
  pen.clip();
  pen.globalAlpha = 0.3;
  pen.fillRect(begin, frame.ribbon, end - begin, height);
  pen.globalAlpha = 1;
  pen.strokeStyle = colour;
  pen.lineWidth = 2;
  pen.beginPath();
  for (let x = Math.floor(begin / 6) * 6 - height; x < end; x += 6) {
    pen.moveTo(x, frame.base);
    pen.lineTo(x + height, frame.ribbon);
  }
  pen.stroke();
  pen.restore();
}
