/** Two soft notes when a face begins to look fake. Off until it is switched on: browsers want a gesture first. */
export class Chime {
  /** @param {HTMLElement} button */
  constructor(button) {
    this._button = button;
    /** @type {AudioContext | null} */
    this._audio = null;
    button.addEventListener("click", () => this._toggle());
  }

  play() {
    const audio = this._audio;
    if (!audio) return;
    [659.3, 880].forEach((pitch, index) => {
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

  _toggle() {
    const on = this._audio === null;
    if (on) {
      this._audio = new AudioContext();
      this.play();
    } else {
      void this._audio?.close();
      this._audio = null;
    }
    this._button.setAttribute("aria-pressed", String(on));
    this._button.textContent = on ? "Alert sound: on" : "Alert sound: off";
  }
}
