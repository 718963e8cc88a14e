import { t } from "../language/language.js";
import { h, setText } from "./dom.js";
import { showState } from "./state_chip.js";
import { faceWhy, noFace, noPicture, percent } from "./wording.js";

/** @import { FaceMessage, Track, Verdict } from "../api/types.js" */

const LEFT_AFTER = 2_000;
const REFRESH = 500;

/** @typedef {{track: number, state: Verdict, reason: string | null, share: number | null, suspect_share: number | null}} FaceState */
/** @typedef {{element: HTMLElement, chip: HTMLElement, why: HTMLElement, bar: HTMLMeterElement, share: HTMLElement, seen: number}} Row */

/** The faces in the picture, each with its state and why. Rows stay where they are while their texts change. */
export class FaceList {
  constructor() {
    this._list = h("ul", { class: "faces" });
    this._none = h("p", { class: "none" }, noFace());
    this._count = h("span", { class: "count" });
    this.element = h(
      "section",
      { class: "panel", "aria-labelledby": "faces-title" },
      h("div", { class: "panel-head" }, h("h2", { id: "faces-title" }, t("Faces")), this._count),
      this._none,
      this._list,
    );
    /** @type {Map<number, Row>} */
    this._rows = new Map();
    this._shown = 0;
  }

  /** @param {boolean} there whether there is a picture at all */
  setPicture(there) {
    setText(this._none, there ? noFace() : noPicture());
  }

  /** @returns {number} */
  get size() {
    return this._rows.size;
  }

  /**
   * What one frame says; shown at most twice a second, changes of state at once.
   *
   * @param {FaceMessage[]} faces
   * @returns {boolean} whether it was shown
   */
  push(faces) {
    const now = performance.now();
    const changed = faces.some(({ track, state }) => this._rows.get(track)?.chip.dataset.state !== state);
    for (const { track } of faces) {
      const row = this._rows.get(track);
      if (row) row.seen = now;
    }
    if (!changed && now - this._shown < REFRESH) return false;
    this._shown = now;
    for (const face of faces) {
      // A frame's own reason counts only where the frame was not judged.
      this._show({ ...face, reason: face.verdict === "UNKNOWN" ? face.reason : null }, now);
    }
    this._forget(now);
    return true;
  }

  /**
   * What the server says of all faces, for when no frames are told.
   *
   * @param {Track[]} tracks
   */
  set(tracks) {
    const now = performance.now();
    for (const track of tracks) this._show(track, now);
    this._forget(now);
  }

  clear() {
    this._forget(Infinity);
  }

  /**
   * @param {FaceState} face
   * @param {number} now
   */
  _show(face, now) {
    let row = this._rows.get(face.track);
    if (!row) {
      row = this._row(face.track);
      this._rows.set(face.track, row);
    }
    row.seen = now;
    showState(row.chip, face.state);
    setText(row.why, faceWhy(face));
    const unsure = face.state === "UNSURE";
    const share = unsure ? face.suspect_share : face.share;
    setText(row.share, percent(share));
    row.bar.value = share ?? 0;
    row.bar.ariaLabel = unsure
      ? t("Share of fake and unsure frames, face {number}", { number: String(face.track) })
      : t("Share of fake frames, face {number}", { number: String(face.track) });
    row.element.dataset.state = face.state;
  }

  /**
   * @param {number} track
   * @returns {Row}
   */
  _row(track) {
    const chip = h("span", {});
    const why = h("p", { class: "why" });
    const share = h("span", { class: "face-share" });
    const bar = h("meter", { min: "0", max: "1" });
    const element = h(
      "li",
      { class: "face" },
      h("div", { class: "face-head" }, h("h3", {}, t("Face {number}", { number: String(track) })), chip),
      h("div", { class: "face-bar" }, bar, share),
      why,
    );
    this._list.append(element);
    return { element, chip, why, bar, share, seen: 0 };
  }

  /** @param {number} now */
  _forget(now) {
    for (const [track, row] of this._rows) {
      if (now - row.seen < LEFT_AFTER) continue;
      row.element.remove();
      this._rows.delete(track);
    }
    this._none.hidden = this._rows.size > 0;
    setText(this._count, this._rows.size ? String(this._rows.size) : "");
  }
}
