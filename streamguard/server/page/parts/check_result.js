import { number } from "../language/language.js";
import { FOUND, findingSentence, STATE_OF, unjudgedWords, WORDS } from "./check_words.js";
import { h } from "./dom.js";
import { scoreChart } from "./score_chart.js";
import { stateChip, stateSign } from "./state_chip.js";
import { moment, percent } from "./wording.js";

/** @import { Check, CheckedFace, CheckedFile, Finding } from "../api/types.js" */

const MOST_FACES = 12;
const MOST_SPANS = 6;

/** What is said of a file: the verdict in words, the score over time, the faces, and what can be done now. */
export class CheckResult {
  /**
   * @param {Check} check that is done
   * @param {() => void} remove
   * @param {() => void} again
   */
  constructor(check, remove, again) {
    const file = /** @type {CheckedFile} */ (check.result?.files[0]);
    this.heading = h("h2", { class: "verdict-headline", tabindex: "-1" }, FOUND[file.finding]);
    // Other pages see a link of this page's own folder, wherever it is served.
    const report = (check.report ?? "").replace(/^\//, "");
    this.element = h(
      "div",
      { class: "check-result" },
      h(
        "section",
        { class: "panel verdict", "data-state": STATE_OF[file.finding], "data-finding": file.finding },
        this.heading,
        stateSign(STATE_OF[file.finding]),
        h("p", { class: "verdict-sentence" }, findingSentence(file)),
        file.fault && h("p", { class: "verdict-sentence" }, WORDS.cut(file.fault.message)),
        h("p", { class: "estimate" }, WORDS.estimate),
        h("p", { class: "check-name" }, check.name),
      ),
      chart(file),
      faces(file),
      reasons(file),
      h(
        "div",
        { class: "check-actions" },
        h("a", { class: "button primary", href: report, target: "_blank", rel: "noopener" }, WORDS.report),
        h("button", { type: "button", onclick: again }, WORDS.another),
        h("button", { type: "button", class: "quiet", onclick: remove }, WORDS.remove),
      ),
      check.expires && h("p", { class: "hint" }, WORDS.until(moment(check.expires))),
    );
  }
}

/** @param {CheckedFile} file */
function chart(file) {
  const highest = Math.max(0, ...file.scores.map((sample) => sample.highest ?? 0));
  if (file.kind === "picture" || !file.judged) return null;
  const words = { label: WORDS.chart(highest, file.fake_intervals.length), end: WORDS.seconds, high: percent(1), low: percent(0) };
  return h(
    "section",
    { class: "panel" },
    h("div", { class: "panel-head" }, h("h2", {}, WORDS.score)),
    scoreChart(file, words),
    h("p", { class: "hint" }, WORDS.chartNote),
  );
}

/** @param {CheckedFile} file */
function faces(file) {
  if (!file.tracks.length) return null;
  const first = [...file.tracks].sort((one, other) => gravity(other) - gravity(one)).slice(0, MOST_FACES);
  return h(
    "section",
    { class: "panel" },
    h("div", { class: "panel-head" }, h("h2", {}, WORDS.faces)),
    h("ul", { class: "check-faces" }, ...first.map((track) => face(track, file))),
  );
}

/**
 * @param {CheckedFace} track
 * @param {CheckedFile} file
 */
function face(track, file) {
  const spans = track.fake_intervals.slice(0, MOST_SPANS).map((span) => span.map((at) => number(at, { maximumFractionDigits: 1 })).join("–"));
  const more = spans.length ? `; ${WORDS.held(`${spans.join(", ")} s`)}` : "";
  return h(
    "li",
    {},
    h("strong", {}, WORDS.face(track)),
    chip(track.finding),
    // Of the one frame of a picture all is said.
    file.kind === "video" && h("span", { class: "hint" }, `${WORDS.faceMore(track)}${more}.`),
  );
}

/** @param {CheckedFile} file */
function reasons(file) {
  const told = Object.entries(file.unjudged);
  // Each face of a video waits for a moment: no news.
  if (!told.some(([reason]) => reason !== "just appeared")) return null;
  return h(
    "section",
    { class: "panel" },
    h("div", { class: "panel-head" }, h("h2", {}, WORDS.unjudged)),
    h("ul", {}, ...told.map(([reason, count]) => h("li", {}, `${unjudgedWords(reason)}, ${WORDS.times(count)}.`))),
  );
}

/** @param {Finding} finding */
function chip(finding) {
  const element = stateChip(STATE_OF[finding]);
  element.lastChild?.replaceWith(FOUND[finding]);
  return element;
}

/** @param {CheckedFace} track */
function gravity(track) {
  return track.fake_intervals.length * 1e9 + track.fake * 1e4 + track.judged;
}
