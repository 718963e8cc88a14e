import { h } from "../parts/dom.js";
import { choose, LANGUAGES, language, t } from "./language.js";

/** The choice of a language, and the words that stand in the page's own markup. */
export class LanguageSwitch {
  /**
   * @param {HTMLElement} place
   * @param {() => void} onChange everything else is to be said anew
   */
  constructor(place, onChange) {
    this._place = place;
    this._onChange = onChange;
    this._label = h("label", { for: "language-choice", class: "unseen" });
    this._choice = h(
      "select",
      { id: "language-choice" },
      ...Object.entries(LANGUAGES).map(([code, name]) => h("option", { value: code, lang: code }, name)),
    );
    this._choice.addEventListener("change", () => void this._chosen());
  }

  start() {
    this._place.replaceChildren(this._label, this._choice);
    this._say();
  }

  async _chosen() {
    await choose(this._choice.value);
    this._say();
    this._onChange();
  }

  _say() {
    this._choice.value = language();
    this._label.textContent = t("Language");
    for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-say]"))) {
      // The markup is in English, and stays the key.
      element.dataset.say ||= element.textContent ?? "";
      element.textContent = t(element.dataset.say);
    }
    for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-label]"))) {
      element.ariaLabel = t(element.dataset.label ?? "");
    }
  }
}
