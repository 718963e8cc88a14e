import { sentence } from "../api/sentence.js";

/** @import { Stream, StreamEvent, Verdict } from "../api/types.js" */

/** @type {Record<Verdict, string>} */
export const STATE_WORD = { REAL: "no sign found", UNSURE: "unsure", FAKE: "FAKE", UNKNOWN: "NOT JUDGED" };

/** @type {Record<Verdict, string>} */
export const HEADLINE = {
  REAL: "No sign of manipulation found",
  UNSURE: "Unsure",
  FAKE: "Looks fake",
  UNKNOWN: "Not judged",
};

export const NO_FACE = "No face is in the picture.";
export const NO_PICTURE = "There is no picture.";

/** @type {Record<string, string>} */
const REASON = {
  "too small": "The face is too small in the picture. Come closer, or make the window larger.",
  "too blurred": "The face is too blurred. Hold still, or add light.",
  "cut off": "Part of the face is outside the picture. Move it towards the middle.",
  "just appeared": "The face has just appeared. A verdict takes about a second.",
  "engine failed": "The detector failed on this face, which says nothing about it. The server's log tells why.",
};

/**
 * @param {number | null | undefined} share 0..1
 * @returns {string}
 */
export function percent(share) {
  return share === null || share === undefined ? "–" : `${Math.round(share * 100)} %`;
}

/**
 * @param {number | null | undefined} value
 * @param {string} unit
 * @param {number} [digits]
 * @returns {string}
 */
export function amount(value, unit, digits = 0) {
  return value === null || value === undefined || !Number.isFinite(value) ? "–" : `${value.toFixed(digits)} ${unit}`;
}

/**
 * @param {Verdict} verdict
 * @param {number | null} share of the frames that made the verdict: of fake ones; where UNSURE, of fake and unsure ones
 * @param {number} faces in the picture
 * @param {boolean} [picture] whether there is one
 * @returns {{headline: string, sentence: string}}
 */
export function verdictWords(verdict, share, faces, picture = true) {
  const headline = HEADLINE[verdict];
  if (verdict === "FAKE") {
    return { headline, sentence: `A face looks manipulated in ${percent(share)} of the recent judged frames.` };
  }
  if (verdict === "UNSURE") {
    const where = `in ${percent(share)} of the recent judged frames`;
    return { headline, sentence: `There are signs of manipulation ${where}, too weak to call it fake.` };
  }
  if (verdict === "REAL") {
    const few = `${percent(share)} of the recent judged frames look manipulated, too few to count.`;
    return { headline, sentence: share ? few : "None of the recent judged frames looks manipulated." };
  }
  if (!picture) return { headline, sentence: NO_PICTURE };
  return {
    headline,
    sentence: faces ? "No face could be judged yet; the list of faces says why." : NO_FACE,
  };
}

/**
 * Why a face is in its state, in plain English.
 *
 * @param {{state: Verdict, reason: string | null, share: number | null}} face
 * @returns {string}
 */
export function faceWhy({ state, reason, share }) {
  if (state === "UNKNOWN")
    return reason ? (REASON[reason] ?? sentence(reason)) : "Too few frames have been judged so far.";
  const counted = state === "FAKE" ? "Most" : share ? "Few" : "None";
  const said =
    state === "UNSURE"
      ? "Most of its recent frames show signs of manipulation, too weak to call it fake."
      : `${counted} of its recent frames ${counted === "None" ? "looks" : "look"} manipulated.`;
  return reason ? `${said} Not judged right now: ${reason}.` : said;
}

/**
 * @param {StreamEvent} event
 * @returns {string}
 */
export function eventWords(event) {
  const face = event.track === null ? "A face" : `Face ${event.track}`;
  switch (event.kind) {
    case "fake.opened":
      return `${face} looks fake, in ${percent(event.share)} of the recent judged frames.`;
    case "fake.updated":
      return `${face} still looks fake, in ${percent(event.share)} of the recent judged frames.`;
    case "fake.closed":
      return event.detail ? `${face} is not cleared: ${sentence(event.detail)}` : `${face} no longer looks fake.`;
    case "stream.up":
      return event.detail ? `The stream is up (${event.detail}).` : "The stream is up.";
    case "stream.down":
      return event.detail ? `The stream broke off: ${sentence(event.detail)}` : "The stream broke off.";
    case "stream.degraded":
      return `Judging is held up: ${sentence(event.detail || "the engine failed")}`;
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
      return { headline: "Starting", sentence: "Waiting for the first picture." };
    case "down":
      return { headline: "No signal", sentence: `${detail} The server tries again by itself.`.trim() };
    case "ended":
      return { headline: "Ended", sentence: "Nothing more comes from this stream." };
    default:
      return { headline: "Failed", sentence: detail || "Check the address and add the feed again." };
  }
}

/**
 * @param {string} at RFC 3339
 * @returns {string} the time of day here
 */
export function clock(at) {
  return new Date(at).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}
