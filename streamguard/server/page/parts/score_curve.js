import { h } from "./dom.js";
import { lookOf } from "./timeline_paint.js";
import { percent } from "./wording.js";

/** @typedef {{x: number, score: number | null}} Point */

const MARGIN = 46;
const EDGE = 8;

/** A score over time, with a line where one is; a click goes there. */
export class ScoreCurve {
  /**
   * @param {string} label for who does not see it
   * @param {(x: number) => void} [onPick] told where a click was, in the unit of the points
   */
  constructor(label, onPick) {
    this.canvas = h("canvas", { class: "score-curve", role: "img", "aria-label": label });
    /** @type {Point[]} */
    this._points = [];
    this._end = 1;
    /** @type {number | null} */
    this._at = null;
    this._gap = Infinity;
    this._resized = new ResizeObserver(() => this._draw());
    this._resized.observe(this.canvas);
    this._dark = matchMedia("(prefers-color-scheme: dark)");
    this._draw = this._draw.bind(this);
    this._dark.addEventListener("change", this._draw);
    if (!onPick) return;
    this.canvas.dataset.picks = "yes";
    const pick = (/** @type {PointerEvent} */ event) => {
      const width = this.canvas.clientWidth - MARGIN - EDGE;
      onPick(Math.max(0, Math.min(1, (event.offsetX - MARGIN) / width)) * this._end);
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      pick(event);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (event.buttons) pick(event);
    });
  }

  stop() {
    this._resized.disconnect();
    this._dark.removeEventListener("change", this._draw);
  }

  /**
   * @param {Point[]} points x from 0, rising; a score of null was not judged
   * @param {number} end of the x axis
   * @param {number} gap points further apart are not joined
   */
  show(points, end, gap) {
    this._points = points;
    this._end = end || 1;
    this._gap = gap;
    this._draw();
  }

  /** @param {number} x where one is */
  at(x) {
    this._at = x;
    this._draw();
  }

  _draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const pen = this.canvas.getContext("2d");
    if (!pen || width < 80 || height < 40) return;
    const scale = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    const look = lookOf(this.canvas);
    const x = (/** @type {number} */ value) => MARGIN + (value / this._end) * (width - MARGIN - EDGE);
    const y = (/** @type {number} */ score) => height - EDGE - score * (height - 2 * EDGE);
    pen.font = look.font;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const score of [0, 0.5, 1]) {
      pen.strokeStyle = look.line;
      pen.beginPath();
      pen.moveTo(MARGIN, y(score));
      pen.lineTo(width - EDGE, y(score));
      pen.stroke();
      pen.fillStyle = look.ink;
      pen.fillText(percent(score), MARGIN - 6, y(score));
    }
    pen.strokeStyle = look.state.FAKE;
    pen.fillStyle = look.state.FAKE;
    pen.lineWidth = 2;
    pen.lineJoin = "round";
    /** @type {Point | null} */
    let before = null;
    pen.beginPath();
    for (const point of this._points) {
      if (point.score === null) {
        before = null;
        continue;
      }
      if (before && point.x - before.x <= this._gap) pen.lineTo(x(point.x), y(point.score));
      else {
        // A point alone is seen, too.
        pen.moveTo(x(point.x) - 1, y(point.score));
        pen.lineTo(x(point.x), y(point.score));
      }
      before = point;
    }
    pen.stroke();
    if (this._at === null) return;
    pen.strokeStyle = look.ink;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(x(this._at), 0);
    pen.lineTo(x(this._at), height);
    pen.stroke();
  }
}
