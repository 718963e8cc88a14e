import { t } from "../language/language.js";
import { h, icon, setText } from "./dom.js";
import { causeWords, clock, percent } from "./wording.js";

/** @import { StreamEvent } from "../api/types.js" */

const MOST = 3;
const REMEMBERED = 500;
/** @typedef {{element: HTMLElement, title: HTMLElement, more: HTMLElement, since: string, faces: Set<string>}} Shown */

const WARNING = "M12 3.5 22 20.5H2ZM12 10v5M12 17.6v.4";

/**
 * The banners on top of every view: one for each stream in which a face began to look fake, until it is dismissed.
 * On a phone they are one line each, the newest alone until they are unfolded.
 */
export class AlertBanner {
  /**
   * @param {HTMLElement} place with role=alert
   * @param {(event: StreamEvent, title: string) => void} onAlert told once for each alert, to make it noticed
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
    this._fold = h("button", { type: "button", class: "banner-fold", hidden: true });
    this._fold.addEventListener("click", () => {
      this._place.toggleAttribute("data-open");
      this.placed();
    });
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

  /** Who already looks at a stream needs no way to it; and what is folded is told. */
  placed() {
    for (const link of this._place.querySelectorAll("a")) link.hidden = link.hash === location.hash;
    const count = this._shown.size;
    const open = this._place.hasAttribute("data-open");
    this._fold.hidden = !count;
    this._fold.setAttribute("aria-expanded", String(open));
    setText(this._fold, open ? t("Show less") : count > 1 ? t("All {count} alerts", { count }) : t("More"));
    if (count) this._place.append(this._fold);
    else this._place.removeAttribute("data-open");
  }

  /** @param {StreamEvent} event */
  _open(event) {
    const before = this._shown.get(event.stream);
    before?.element.remove();
    const words = t("A face in {stream} looks fake", { stream: event.stream });
    const title = h("strong", {}, words);
    const values = { share: percent(event.share), time: clock(event.at) };
    const share = t("In {share} of the recent judged frames, since {time}.", values);
    const more = h("span", { class: "banner-more" }, `${share} ${estimate()}`);
    const element = h(
      "div",
      { class: "banner", "data-event": event.id },
      icon(WARNING, "icon banner-sign"),
      h("p", {}, title, more),
      h("a", { class: "banner-action", href: `#/stream/${encodeURIComponent(event.stream)}` }, t("Look")),
      h("button", { type: "button", class: "banner-action", onclick: () => this._dismiss(event.stream) }, t("Dismiss")),
    );
    // Another face of the stream may be called fake still.
    const faces = new Set(before?.faces).add(face(event));
    this._shown.delete(event.stream);
    this._shown.set(event.stream, { element, title, more, since: event.at, faces });
    this._place.prepend(element);
    for (const [stream] of [...this._shown].slice(0, -MOST)) this._dismiss(stream);
    this.placed();
    this._onAlert(event, words);
  }

  /** @param {StreamEvent} event */
  _close(event) {
    const banner = this._shown.get(event.stream);
    if (!banner?.faces.delete(face(event)) || banner.faces.size) return;
    const values = { from: clock(banner.since), to: clock(event.at), stream: event.stream };
    const cleared = event.cause === "cleared";
    // Those that go on come first.
    this._place.append(banner.element, this._fold);
    // What nobody was cleared of keeps the colour of a warning.
    banner.element.dataset.over = cleared ? "cleared" : "open";
    setText(
      banner.title,
      cleared
        ? t("A face in {stream} looked fake", values)
        : t("A face in {stream} looked fake and was not cleared", values),
    );
    const times = cleared ? t("From {from} to {to}, and no longer.", values) : t("From {from} to {to}.", values);
    setText(banner.more, [times, cleared ? "" : causeWords(event), estimate()].filter(Boolean).join(" "));
  }

  /** @param {string} stream */
  _dismiss(stream) {
    this._shown.get(stream)?.element.remove();
    this._shown.delete(stream);
    this.placed();
  }
}

function estimate() {
  return t("An automated estimate that may be wrong.");
}

/**
 * @param {StreamEvent} event
 * @returns {string} which person of its stream it tells of
 */
function face(event) {
  return event.incident ?? `${event.epoch} ${event.track}`;
}
