import { t } from "../language/language.js";
import { h } from "./dom.js";
import { causeWords, percent } from "./wording.js";

/** @import { Incident } from "../api/types.js" */

/**
 * Open, cleared or closed without that: as a word on a chip. Only what was cleared looks like it.
 *
 * @param {Incident} incident
 * @returns {HTMLElement}
 */
export function incidentChip({ state, cause }) {
  if (state === "open") return h("span", { class: "chip", "data-state": "FAKE" }, t("called fake now"));
  if (cause === "cleared") return h("span", { class: "chip past" }, t("no longer looked fake"));
  return h("span", { class: "chip open-ended" }, t("not cleared"));
}

/**
 * @param {Incident} incident
 * @returns {string} why it is in its state
 */
export function incidentWhy({ state, cause }) {
  if (state === "open") return t("The face is called fake now.");
  if (cause === "cleared") return t("The face was judged again and no longer looked fake.");
  return cause ? `${t("It was not cleared.")} ${causeWords({ cause, detail: cause })}` : t("It was not cleared.");
}

/**
 * @param {Incident["mark"]} mark
 * @returns {string}
 */
export function markWords(mark) {
  if (mark === "confirmed") return t("Confirmed");
  return mark === "false_alarm" ? t("False alarm") : t("Not reviewed yet");
}

/**
 * Why it was judged so, in sentences.
 *
 * @param {Incident} incident
 * @returns {string[]}
 */
export function reasons({ share, score, judged, fake, openings, model }) {
  const [name] = model.split("@");
  const told = [
    t("The detector looks for manipulated pixels in the face and at nothing else: not at the sound, not at the background, not at who it is."),
    t("Faces that are too small, too blurred or cut off are not judged and do not count."),
    t("At the worst moment {share} of the recent judged frames were fake; the highest score was {score}.", {
      share: percent(share),
      score: percent(score),
    }),
  ];
  if (judged) told.push(t("While it was called fake, {judged} frames were judged, {fake} of them fake.", { judged, fake }));
  if (openings > 1) {
    told.push(t("It opened {count} times, and was taken for the same person each time.", { count: openings }));
  }
  told.push(
    t("No detector sees every kind of fake. It misses kinds it was not taught; strong compression and filters can hide a fake, or look like one. The card of {name} tells how often.", { name: name ?? model }),
  );
  return told;
}
