import { t } from "../language/language.js";
import { h } from "./dom.js";
import { clock, eventWords } from "./wording.js";

/** @import { Client } from "../api/client.js" */
/** @import { StreamEvent } from "../api/types.js" */

const MOST = 40;

/** @typedef {{row: HTMLElement, url: string | null, asked: boolean}} Row `asked`: its picture is on the way or there */

/** A stream's events, newest first, with the pictures kept of them. */
export class EventList {
  /** @param {Client} client */
  constructor(client) {
    this._client = client;
    this._list = h("ol", { class: "events" });
    this._none = h("p", { class: "none" }, t("Nothing has happened yet."));
    this.element = h(
      "section",
      { class: "panel", "aria-labelledby": "events-title" },
      h("div", { class: "panel-head" }, h("h2", { id: "events-title" }, t("Events"))),
      this._none,
      this._list,
    );
    /** @type {Map<string, Row>} */
    this._rows = new Map();
    this._stop = new AbortController();
  }

  stop() {
    this._stop.abort();
    for (const id of [...this._rows.keys()]) this._drop(id);
  }

  /** @param {StreamEvent} event in any order; twice is once */
  take(event) {
    // A fake that goes on is told by the timeline.
    if (this._stop.signal.aborted || event.kind === "fake.updated") return;
    const kept = this._rows.get(event.id) ?? this._add(event);
    // Its picture may be there a moment later than the event itself.
    if (!event.snapshot || kept.asked) return;
    kept.asked = true;
    void this._picture(event, event.snapshot);
  }

  /** The pictures kept of the events were erased: their words stay. */
  erasePictures() {
    for (const kept of this._rows.values()) {
      kept.row.querySelector(".event-picture")?.remove();
      if (kept.url) URL.revokeObjectURL(kept.url);
      kept.url = null;
    }
    document.querySelector("dialog.picture")?.remove();
  }

  /**
   * @param {StreamEvent} event
   * @returns {Row}
   */
  _add(event) {
    const row = h(
      "li",
      { class: "event", "data-kind": event.kind, "data-cause": event.cause ?? undefined, "data-id": event.id },
      h("time", { datetime: event.at }, clock(event.at)),
      h("p", {}, eventWords(event)),
    );
    /** @type {Row} */
    const kept = { row, url: null, asked: false };
    if (event.incident) {
      const about = t("Details of {words}", { words: eventWords(event) });
      row.append(
        h("a", { class: "event-more", href: `#/incident/${encodeURIComponent(event.incident)}`, "aria-label": about }, t("Details")),
      );
    }
    this._rows.set(event.id, kept);
    // Ids are ULIDs: their order is that of time.
    const next = [...this._list.children].find((other) => (other.getAttribute("data-id") ?? "") < event.id);
    this._list.insertBefore(row, next ?? null);
    const oldest = this._list.children.length > MOST ? this._list.lastElementChild?.getAttribute("data-id") : null;
    if (oldest) this._drop(oldest);
    this._none.hidden = true;
    return kept;
  }

  /**
   * @param {StreamEvent} event
   * @param {string} address
   */
  async _picture(event, address) {
    let url;
    try {
      url = URL.createObjectURL(await this._client.blob(address, this._stop.signal));
    } catch {
      return; // expired or erased: the words stay
    }
    const kept = this._rows.get(event.id);
    if (!kept) {
      URL.revokeObjectURL(url);
      return;
    }
    kept.url = url;
    const words = t("Picture of {time}: {words}", { time: clock(event.at), words: eventWords(event) });
    const open = h(
      "button",
      { type: "button", class: "event-picture", "aria-label": t("Enlarge: {words}", { words }) },
      h("img", { src: url, alt: "" }),
    );
    open.addEventListener("click", () => enlarge(/** @type {string} */ (url), words));
    kept.row.append(open);
  }

  /** @param {string} id */
  _drop(id) {
    const kept = this._rows.get(id);
    kept?.row.remove();
    if (kept?.url) URL.revokeObjectURL(kept.url);
    this._rows.delete(id);
  }
}

/**
 * @param {string} url
 * @param {string} words
 */
function enlarge(url, words) {
  const dialog = h(
    "dialog",
    { class: "dialog picture", "aria-label": words },
    h("img", { src: url, alt: words }),
    h(
      "div",
      { class: "buttons" },
      h("p", {}, words),
      h("button", { type: "button", onclick: () => dialog.close() }, t("Close")),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
