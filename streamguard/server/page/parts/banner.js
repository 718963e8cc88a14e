import { sentence } from "../api/sentence.js";
import { h, icon, setText } from "./dom.js";
import { clock, percent } from "./wording.js";

/** @import { StreamEvent } from "../api/types.js" */

const MOST = 3;
const REMEMBERED = 500;
/** @typedef {{element: HTMLElement, title: HTMLElement, more: HTMLElement, since: string, faces: Set<string>}} Shown */

const ESTIMATE = "An automated estimate that may be wrong.";
const WARNING = "M12 3.5 22 20.5H2ZM12 10v5M12 17.6v.4";

/**
 * The banners on top of every view: one for each stream in which a face began to look fake, until it is dismissed.
 */
export class AlertBanner {
  /**
   * @param {HTMLElement} place with role=alert
   * @param {() => void} onAlert told once for each alert, to make it heard
   */
  constructor(place, onAlert) {
    this._place = place;
    this._onAlert = onAlert;
    /** @type {Set<string>} */
    this._seen = new Set();
    /** @type {Map<string, Shown>} */
    this._shown = new Map();
    /** @type {string | null} */
    this._after = null;
  }

  /**
   * What was before the page was opened is history, not news. Ids are ULIDs, in the order of the server's clock.
   *
   * @param {string} newest id of the newest event there is at the first call; later calls change nothing
   */
  begin(newest) {
    this._after ??= newest;
  }

  /** @param {StreamEvent} event of any kind, in any order, any number of times */
  take(event) {
    if (this._seen.has(event.id)) return;
    this._seen.add(event.id);
    if (this._seen.size > REMEMBERED) this._seen.delete(/** @type {string} */ (this._seen.values().next().value));
    if (event.kind === "fake.opened" && event.id > (this._after ?? "")) this._open(event);
    else if (event.kind === "fake.closed") this._close(event);
  }

  /** Who already looks at a stream needs no way to it. */
  placed() {
    for (const link of this._place.querySelectorAll("a")) link.hidden = link.hash === location.hash;
  }

  /** @param {StreamEvent} event */
  _open(event) {
    const before = this._shown.get(event.stream);
    before?.element.remove();
    const title = h("strong", {}, `A face in ${event.stream} looks fake`);
    const share = `In ${percent(event.share)} of the recent judged frames, since ${clock(event.at)}.`;
    const more = h("span", { class: "banner-more" }, `${share} ${ESTIMATE}`);
    const element = h(
      "div",
      { class: "banner", "data-event": event.id },
      icon(WARNING, "icon banner-sign"),
      h("p", {}, title, more),
      h("a", { class: "banner-action", href: `#/stream/${encodeURIComponent(event.stream)}` }, "Look"),
      h("button", { type: "button", class: "banner-action", onclick: () => this._dismiss(event.stream) }, "Dismiss"),
    );
    // Another face of the stream may be held for fake still.
    const faces = new Set(before?.faces).add(face(event));
    this._shown.set(event.stream, { element, title, more, since: event.at, faces });
    this._place.prepend(element);
    for (const [stream] of [...this._shown].slice(0, -MOST)) this._dismiss(stream);
    this.placed();
    this._onAlert();
  }

  /** @param {StreamEvent} event */
  _close(event) {
    const banner = this._shown.get(event.stream);
    if (!banner?.faces.delete(face(event)) || banner.faces.size) return;
    banner.element.dataset.over = "yes";
    setText(banner.title, `A face in ${event.stream} looked fake`);
    const end = event.detail ? `. It is not cleared: ${sentence(event.detail)}` : ", and no longer.";
    setText(banner.more, `From ${clock(banner.since)} to ${clock(event.at)}${end} ${ESTIMATE}`);
  }

  /** @param {string} stream */
  _dismiss(stream) {
    this._shown.get(stream)?.element.remove();
    this._shown.delete(stream);
  }
}

/**
 * @param {StreamEvent} event
 * @returns {string} which face of its stream it tells of
 */
function face(event) {
  return `${event.epoch} ${event.track}`;
}
