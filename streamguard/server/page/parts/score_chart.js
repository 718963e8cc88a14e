import { h } from "./dom.js";

/** @import { CheckedFile } from "../api/types.js" */

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 1000;
const HEIGHT = 200;
const PAUSE = 1;

/**
 * The score over a file's time, with what was called fake shaded.
 *
 * @param {CheckedFile} file
 * @param {{label: string, end: (seconds: number) => string, high: string, low: string}} words
 * @returns {HTMLElement}
 */
export function scoreChart(file, words) {
  const length = Math.max(file.duration, 0.1);
  const x = (/** @type {number} */ time) => (time / length) * WIDTH;
  const svg = part("svg", { viewBox: `0 -4 ${WIDTH} ${HEIGHT + 8}`, preserveAspectRatio: "none", role: "img" });
  svg.setAttribute("class", "score-chart");
  svg.setAttribute("aria-label", words.label);
  for (const [start, end] of file.fake_intervals) {
    const width = Math.max(3, x(end) - x(start));
    svg.append(part("rect", { x: x(start), y: -4, width, height: HEIGHT + 8, class: "held" }));
  }
  svg.append(part("line", { x1: 0, x2: WIDTH, y1: HEIGHT / 2, y2: HEIGHT / 2 }));
  svg.append(part("path", { d: line(file, x) }));
  return h(
    "div",
    { class: "score" },
    h("div", { class: "score-side", "aria-hidden": "true" }, h("span", {}, words.high), h("span", {}, words.low)),
    svg,
    h("div", { class: "score-ends", "aria-hidden": "true" }, h("span", {}, words.end(0)), h("span", {}, words.end(length))),
  );
}

/**
 * @param {CheckedFile} file
 * @param {(time: number) => number} x
 * @returns {string} the path's data: broken where nothing was judged
 */
function line(file, x) {
  let data = "";
  let last = -Infinity;
  for (const { start, end, score } of file.scores) {
    if (score === null) continue;
    const place = `${x((start + end) / 2).toFixed(1)} ${((1 - score) * HEIGHT).toFixed(1)}`;
    // A lone point has no length: it is given some.
    data += start - last > PAUSE ? `M${place}h1` : `L${place}`;
    last = end;
  }
  return data;
}

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @returns {SVGElement}
 */
function part(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}
