import { sentence } from "../api/sentence.js";
import { N, number, t, time } from "../language/language.js";

/** @import { Stream, StreamEvent, Verdict } from "../api/types.js" */

/** @type {Record<Verdict, string>} */
const STATE_WORD = {
  REAL: N("no sign found"),
  UNSURE: N("unsure"),
  FAKE: N("FAKE"),
  UNKNOWN: N("NOT JUDGED"),
};

/** @type {Record<Verdict, string>} */
const HEADLINE = {
  REAL: N("No sign of manipulation found"),
  UNSURE: N("Unsure"),
  FAKE: N("Looks fake"),
  UNKNOWN: N("Not judged"),
};

/** @type {Record<string, string>} */
const REASON = {
  "too small": N("The face is too small in the picture. Come closer, or make the window larger."),
  "too blurred": N("The face is too blurred. Hold still, or add light."),
  "cut off": N("Part of the face is outside the picture. Move it towards the middle."),
  "just appeared": N("The face has just appeared. A verdict takes about a second."),
  "engine failed": N("The detector failed on this face, which says nothing about it."),
};

/** Why a fake was closed other than by its own frames. @type {Record<string, string>} */
const CAUSE = {
  lost: N("The face left the picture while it was called fake."),
  stream_broke: N("The stream broke off while the face was called fake."),
  stream_ended: N("The stream ended while the face was called fake."),
  superseded: N("Another alert took the place of this one."),
};

/**
 * @param {Verdict} verdict
 * @returns {string} a word or two, as it stands on a chip
 */
export function stateWord(verdict) {
  return t(STATE_WORD[verdict]);
}

/**
 * @param {Verdict} verdict
 * @returns {string}
 */
export function headlineOf(verdict) {
  return t(HEADLINE[verdict]);
}

/** @returns {string} */
export function noFace() {
  return t("No face is in the picture.");
}

/** @returns {string} */
export function noPicture() {
  return t("There is no picture.");
}

/**
 * @param {number | null | undefined} share 0..1
 * @param {number} [digits]
 * @returns {string}
 */
export function percent(share, digits = 0) {
  if (share === null || share === undefined) return "–";
  return number(share, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/**
 * @param {number | null | undefined} value
 * @param {string} text with {value}, such as "{value} ms"
 * @param {number} [digits]
 * @returns {string}
 */
export function amount(value, text, digits = 0) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return t(text, { value: number(value, { minimumFractionDigits: digits, maximumFractionDigits: digits }) });
}

/**
 * @param {Verdict} verdict
 * @param {number | null} share of the frames that made the verdict: of fake ones; where UNSURE, of fake and unsure ones
 * @param {number} faces in the picture
 * @param {boolean} [picture] whether there is one
 * @returns {{headline: string, sentence: string}}
 */
export function verdictWords(verdict, share, faces, picture = true) {
  const headline = headlineOf(verdict);
  const values = { share: percent(share) };
  if (verdict === "FAKE") {
    return { headline, sentence: t("A face looks manipulated in {share} of the recent judged frames.", values) };
  }
  if (verdict === "UNSURE") {
    const said = N(
      "There are signs of manipulation in {share} of the recent judged frames, too weak to call it fake.",
    );
    return { headline, sentence: t(said, values) };
  }
  if (verdict === "REAL") {
    const said = share
      ? N("{share} of the recent judged frames look manipulated, too few to count.")
      : N("None of the recent judged frames looks manipulated.");
    return { headline, sentence: t(said, values) };
  }
  if (!picture) return { headline, sentence: noPicture() };
  return {
    headline,
    sentence: faces ? t("No face could be judged yet; the list of faces says why.") : noFace(),
  };
}

/**
 * Why a face is in its state.
 *
 * @param {{state: Verdict, reason: string | null, share: number | null}} face
 * @returns {string}
 */
export function faceWhy({ state, reason, share }) {
  const why = reason === null ? "" : reasonWords(reason);
  if (state === "UNKNOWN") return why || t("Too few frames have been judged so far.");
  let said = t("None of its recent frames looks manipulated.");
  if (state === "UNSURE") {
    said = t("Most of its recent frames show signs of manipulation, too weak to call it fake.");
  } else if (state === "FAKE") said = t("Most of its recent frames look manipulated.");
  else if (share) said = t("Few of its recent frames look manipulated.");
  return why ? `${said} ${t("Not judged right now:")} ${why}` : said;
}

/**
 * @param {string} reason why a face is not judged
 * @returns {string}
 */
export function reasonWords(reason) {
  return REASON[reason] ? t(REASON[reason]) : sentence(reason);
}

/**
 * @param {{cause: string | null, detail: string}} closed
 * @returns {string} why it ended, where nobody was cleared
 */
export function causeWords({ cause, detail }) {
  return cause && CAUSE[cause] ? t(CAUSE[cause]) : sentence(detail);
}

/**
 * @param {StreamEvent} event
 * @returns {string}
 */
export function eventWords(event) {
  const values = {
    face: event.track === null ? t("A face") : t("Face {number}", { number: String(event.track) }),
    share: percent(event.share),
    why: event.detail ? sentence(event.detail) : "",
  };
  switch (event.kind) {
    case "fake.opened":
      return t("{face} looks fake, in {share} of the recent judged frames.", values);
    case "fake.updated":
      return t("{face} still looks fake, in {share} of the recent judged frames.", values);
    case "fake.closed":
      if (event.cause === "cleared") return t("{face} no longer looks fake.", values);
      return t("{face} is not cleared: {why}", { ...values, why: causeWords(event) });
    case "stream.up":
      return event.detail ? t("The stream is up ({detail}).", { detail: event.detail }) : t("The stream is up.");
    case "stream.down":
      return event.detail ? t("The stream broke off: {why}", values) : t("The stream broke off.");
    case "stream.degraded":
      return t("Judging is held up: {why}", { why: values.why || t("The engine failed.") });
    default:
      return sentence(event.detail || event.kind);
  }
}

/**
 * What the picture's place says while there is none.
 *
 * @param {Stream} stream
 * @returns {{headline: string, sentence: string} | null} null while it is up
 */
export function streamWords(stream) {
  const detail = stream.detail ? sentence(stream.detail) : "";
  switch (stream.state) {
    case "up":
      return null;
    case "starting":
      return { headline: t("Starting"), sentence: t("Waiting for the first picture.") };
    case "down":
      return { headline: t("No signal"), sentence: `${detail} ${t("The server tries again by itself.")}`.trim() };
    case "ended":
      return { headline: t("Ended"), sentence: t("Nothing more comes from this stream.") };
    default:
      return { headline: t("Failed"), sentence: detail || t("Check the address and add the feed again.") };
  }
}

/**
 * @param {string | Date} at RFC 3339
 * @returns {string} the time of day here
 */
export function clock(at) {
  return time(at, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

/**
 * @param {string | Date} at RFC 3339
 * @returns {string} day and time here
 */
export function moment(at) {
  return time(at, { dateStyle: "medium", timeStyle: "medium" });
}
