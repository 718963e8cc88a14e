import { Trouble } from "../api/trouble.js";
import { h } from "./dom.js";

/**
 * A trouble, told where it happened: what, and what to do.
 *
 * @param {Trouble} trouble
 * @param {...HTMLElement} actions
 * @returns {HTMLElement}
 */
export function troubleBox(trouble, ...actions) {
  return h("div", { class: "trouble" }, h("p", {}, h("strong", {}, trouble.title), " ", trouble.remedy), ...actions);
}
