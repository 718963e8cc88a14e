import { N, number, t } from "../language/language.js";
import { headlineOf, percent } from "./wording.js";

/** @import { CheckedFile, CheckedFace, Finding, Verdict } from "../api/types.js" */

/** What the view says; nothing of it is written elsewhere. */
export const WORDS = {
  get title() {
    return t("Check a file");
  },
  get lead() {
    return t("Choose a video or a picture. It goes to this server only and is removed as soon as it is judged.");
  },
  get choose() {
    return t("Choose a file");
  },
  get drop() {
    return t("or drop it here");
  },
  get kinds() {
    return t("Videos, and pictures as JPEG, PNG or WebP");
  },
  get lacks() {
    return t("Your access token may not send video. Ask for one that may.");
  },
  get sending() {
    return t("Sending");
  },
  get waiting() {
    return t("Waiting for its turn");
  },
  ahead: (/** @type {number} */ count) => t("{count} files are before it.", { count }),
  get judging() {
    return t("Judging");
  },
  get giveUp() {
    return t("Give up");
  },
  get another() {
    return t("Check another file");
  },
  get report() {
    return t("Open the report");
  },
  get remove() {
    return t("Remove it now");
  },
  get removed() {
    return t("The result is removed.");
  },
  until: (/** @type {string} */ moment) =>
    t("The file itself is gone already. The result is removed by itself on {moment}.", { moment }),
  get estimate() {
    return t("An automated estimate that may be wrong.");
  },
  cut: (/** @type {string} */ message) => t("It was not read to the end: {message}", { message }),
  get score() {
    return t("Score over time");
  },
  chart: (/** @type {number} */ highest, /** @type {number} */ count) =>
    t("Score over time: at most {most}, called fake {count} times.", { most: percent(highest), count }),
  get chartNote() {
    return t("Shaded: called fake. The dashed line is {half}. Gaps were not judged.", { half: percent(0.5) });
  },
  seconds: (/** @type {number} */ seconds) => {
    if (seconds >= 60) {
      return t("{minutes} min {seconds} s", { minutes: Math.floor(seconds / 60), seconds: Math.round(seconds % 60) });
    }
    return t("{seconds} s", { seconds: number(seconds, { maximumFractionDigits: 1 }) });
  },
  get faces() {
    return t("Faces");
  },
  face: (/** @type {CheckedFace} */ face) => t("Face {number}", { number: String(face.track) }),
  faceMore: (/** @type {CheckedFace} */ face) =>
    face.judged
      ? t("Fake in {share} of {judged} judged frames", { share: percent(face.share ?? 0), judged: face.judged })
      : t("In no frame could it be judged"),
  held: (/** @type {string} */ spans) => t("called fake {spans}", { spans }),
  get unjudged() {
    return t("Why faces were not judged");
  },
  times: (/** @type {number} */ count) => t("in {count} frames", { count }),
};

/** The finding in a word or two. @type {Record<Finding, string>} */
export const FOUND = {
  get FAKE() {
    return headlineOf("FAKE");
  },
  get FAKE_IN_PART() {
    return t("Looks fake in part");
  },
  get UNSURE() {
    return headlineOf("UNSURE");
  },
  get NO_SIGN_FOUND() {
    return headlineOf("REAL");
  },
  get NOT_JUDGED() {
    return headlineOf("UNKNOWN");
  },
};

/** The state whose colour and sign it has. @type {Record<Finding, Verdict>} */
export const STATE_OF = {
  FAKE: "FAKE",
  FAKE_IN_PART: "FAKE",
  UNSURE: "UNSURE",
  NO_SIGN_FOUND: "REAL",
  NOT_JUDGED: "UNKNOWN",
};

/** @type {Record<string, string>} */
const UNJUDGED = {
  "too small": N("The face is too small in the picture"),
  "too blurred": N("The face is too blurred"),
  "cut off": N("Part of the face is outside the picture"),
  "just appeared": N("The face had just appeared"),
  "engine failed": N("The detector failed, which says nothing about the face"),
};

/**
 * @param {string} reason
 * @returns {string} why a face was not judged
 */
export function unjudgedWords(reason) {
  return UNJUDGED[reason] ? t(UNJUDGED[reason]) : reason;
}

/**
 * @param {CheckedFile} file
 * @returns {string} the finding in a sentence
 */
export function findingSentence(file) {
  const values = { share: percent(file.share ?? 0) };
  if (file.finding === "NOT_JUDGED") {
    return file.tracks.length ? t("No face in it could be judged.") : t("There is no face in it.");
  }
  if (file.finding === "UNSURE") return t("There are signs of manipulation, too weak to call it fake.");
  if (file.kind === "picture") {
    return file.finding === "FAKE"
      ? t("A face in this picture looks manipulated.")
      : t("No face in it looks manipulated.");
  }
  if (file.finding === "FAKE") return t("A face looks manipulated in {share} of the judged frames.", values);
  if (file.finding === "FAKE_IN_PART") {
    return t("A face looks manipulated for a while, in {share} of the judged frames.", values);
  }
  return file.fake
    ? t("{share} of the judged frames look manipulated, too few to count.", values)
    : t("No judged frame looks manipulated.");
}
