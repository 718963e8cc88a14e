import { language } from "../language/language.js";
import { h, icon } from "./dom.js";
import { stateWord } from "./wording.js";

/** @import { Verdict } from "../api/types.js" */

/** The signs of the painted overlay, so that colour is never the only carrier. @type {Record<Verdict, string>} */
const SIGN = {
  FAKE: "M12 5v9M12 18.5v.5",
  UNSURE: "M5.5 13.5c1.6-3.4 4.2-3.6 6.5-1.5s4.9 1.9 6.5-1.5",
  REAL: "M12 6.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11",
  UNKNOWN: "M8.5 9a3.5 3.5 0 1 1 5.2 3.05C12.4 12.8 12 13.4 12 14.5M12 18.5v.5",
};

/**
 * The state in a word or two, with its sign.
 *
 * @param {Verdict} state
 * @returns {HTMLElement}
 */
export function stateChip(state) {
  return h("span", { class: "chip", "data-state": state }, icon(SIGN[state], "sign"), stateWord(state));
}

/**
 * The sign alone, large.
 *
 * @param {Verdict} state
 * @returns {SVGSVGElement}
 */
export function stateSign(state) {
  return icon(SIGN[state], "sign verdict-sign");
}

/**
 * Shows a state in a place of its own, touched only when it changes.
 *
 * @param {HTMLElement} place
 * @param {Verdict} state
 */
export function showState(place, state) {
  if (place.dataset.state === state && place.lang === language()) return;
  place.dataset.state = state;
  place.lang = language();
  place.replaceChildren(stateChip(state));
}
