import { t } from "../language/language.js";
import { h } from "./dom.js";
import { remember, remembered } from "./memory.js";

const KEPT = "sound";
const TONES = [659.3, 880];

/**
 * Two soft notes when a face begins to look fake. On until it is switched off, which is remembered. Browsers let a page
 * be heard only after a person has done something on it: the first click or key lets it.
 */
export class Chime extends EventTarget {
  constructor() {
    super();
    this.on = remembered(KEPT) !== "off";
    /** @type {AudioContext | null} */
    this._audio = null;
    for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => this._wake(), { capture: true });
  }

  play() {
    const audio = this._audio;
    if (!this.on || audio?.state !== "running") return;
    TONES.forEach((pitch, index) => {
      const start = audio.currentTime + index * 0.18;
      const gain = new GainNode(audio, { gain: 0 });
      gain.gain.setValueAtTime(0, start);
      gain.gain.linearRampToValueAtTime(0.2, start + 0.02);
      gain.gain.exponentialRampToValueAtTime(0.001, start + 0.6);
      const tone = new OscillatorNode(audio, { type: "sine", frequency: pitch });
      tone.connect(gain).connect(audio.destination);
      tone.start(start);
      tone.stop(start + 0.65);
    });
  }

  /**
   * A switch of the sound; all of them tell the same.
   *
   * @param {AbortSignal} [signal] ends it
   * @returns {HTMLButtonElement}
   */
  toggle(signal) {
    const state = h("span", { class: "switch-state", "aria-hidden": "true" });
    const button = h("button", { type: "button", class: "quiet switch", role: "switch" }, t("Alert sound"), state);
    const show = () => {
      button.setAttribute("aria-checked", String(this.on));
      state.textContent = this.on ? t("on") : t("off");
    };
    button.addEventListener("click", () => void this._set(!this.on));
    this.addEventListener("change", show, { signal });
    show();
    return button;
  }

  /** @param {boolean} on */
  async _set(on) {
    this.on = on;
    remember(KEPT, on ? "on" : "off");
    this.dispatchEvent(new Event("change"));
    if (!on) return;
    // Heard at once, so that one knows how it sounds.
    await this._wake();
    this.play();
  }

  async _wake() {
    if (!this.on) return;
    this._audio ??= new AudioContext();
    if (this._audio.state !== "running") await this._audio.resume().catch(() => {});
  }
}
