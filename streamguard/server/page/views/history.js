import { Incidents } from "../api/incidents.js";
import { asTrouble, isAbort } from "../api/trouble.js";
import { N, t } from "../language/language.js";
import { h, setText, TYPED } from "../parts/dom.js";
import { incidentChip, markWords } from "../parts/incident_words.js";
import { troubleBox } from "../parts/notice.js";
import { saveAs } from "../parts/save_as.js";
import { moment, percent } from "../parts/wording.js";

/** @import { Client } from "../api/client.js" */
/** @import { Incident, Scope } from "../api/types.js" */

const NAMES = ["stream", "since", "until", "least_score", "state", "mark"];
/** @type {Record<string, [string, string][]>} */
const CHOICES = {
  state: [
    ["", N("all")],
    ["open", N("called fake now")],
    ["closed", N("closed")],
  ],
  mark: [
    ["", N("all")],
    ["none", N("Not reviewed yet")],
    ["confirmed", N("Confirmed")],
    ["false_alarm", N("False alarm")],
  ],
};

/** What happened: people called fake, searched and filtered. The filter stands in the address. */
export class HistoryView {
  /**
   * @param {Client} client
   * @param {URLSearchParams} filter
   */
  constructor(client, filter) {
    this.title = `${t("History")} – streamguard`;
    this._client = client;
    this._incidents = new Incidents(client);
    this._stop = new AbortController();
    this._filter = new URLSearchParams([...filter].filter(([name, value]) => NAMES.includes(name) && value));
    /** @type {string[]} */
    this._urls = [];
    /** @type {string | null} */
    this._next = null;
    this._list = h("ul", { class: "incidents" });
    this._none = h("p", { class: "none", role: "status" }, t("Loading …"));
    this._more = h("button", { type: "button", hidden: true, onclick: () => void this._load() }, t("Show more"));
    this._said = h("div", { class: "said", role: "alert" });
    this.element = h(
      "div",
      { class: "history" },
      h("h1", { tabindex: "-1" }, t("History")),
      h("p", { class: "lead" }, t("Every face that was called fake, newest first.")),
      this._form(),
      h("div", { class: "history-tools" }, this._export("csv"), this._export("json")),
      this._said,
      this._none,
      this._list,
      this._more,
    );
  }

  start() {
    void this._load();
  }

  stop() {
    this._stop.abort();
    for (const url of this._urls) URL.revokeObjectURL(url);
  }

  /** @param {Date | null} since the server does not answer since then */
  stale(since) {
    if (!since && !this._list.childElementCount) void this._load();
  }

  /** @param {Scope[]} _scopes who may not look is told so by the server's answer */
  allow(_scopes) {}

  _form() {
    const form = h(
      "form",
      { class: "filters", "aria-label": t("Filters") },
      this._entry("stream", t("Stream"), { ...TYPED }),
      this._entry("since", t("From"), { type: "datetime-local", step: "1" }),
      this._entry("until", t("Until"), { type: "datetime-local", step: "1" }),
      this._entry("least_score", t("Least score, %"), { type: "number", min: "0", max: "100", step: "any" }),
      this._choose("state", t("State")),
      this._choose("mark", t("Mark")),
      h("div", { class: "filter-buttons" }, h("button", { type: "submit", class: "primary" }, t("Search")), h("a", { class: "button", href: "#/history" }, t("Clear"))),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const query = new URLSearchParams();
      for (const name of NAMES) {
        const value = sent(name, String(new FormData(form).get(name) ?? "").trim());
        if (value) query.set(name, value);
      }
      location.hash = `#/history?${query}`;
    });
    return form;
  }

  /**
   * @param {string} name
   * @param {string} label
   * @param {Record<string, string>} attributes
   */
  _entry(name, label, attributes) {
    const value = shown(name, this._filter.get(name) ?? "");
    const input = h("input", { id: `filter-${name}`, name, value, ...attributes });
    return h("div", { class: "field" }, h("label", { for: input.id }, label), input);
  }

  /**
   * @param {string} name
   * @param {string} label
   */
  _choose(name, label) {
    const now = this._filter.get(name) ?? "";
    const options = (CHOICES[name] ?? []).map(([value, words]) => h("option", { value, selected: value === now }, t(words)));
    const select = h("select", { id: `filter-${name}`, name }, ...options);
    return h("div", { class: "field" }, h("label", { for: select.id }, label), select);
  }

  /** @param {"csv" | "json"} kind */
  _export(kind) {
    const words = t("Save these as {kind}", { kind: kind.toUpperCase() });
    const button = h("button", { type: "button", class: "quiet" }, words);
    button.addEventListener("click", async () => {
      try {
        saveAs(await this._incidents.all(kind, this._filter), `incidents.${kind}`);
      } catch (error) {
        this._said.replaceChildren(troubleBox(asTrouble(error)));
      }
    });
    return button;
  }

  async _load() {
    this._more.disabled = true;
    try {
      const { incidents, next } = await this._incidents.page(this._filter, this._next, this._stop.signal);
      this._said.replaceChildren();
      this._list.append(...incidents.map((incident) => this._row(incident)));
      this._next = next;
      this._more.hidden = !next;
      setText(this._none, this._filter.size ? t("Nothing matches.") : t("No face was called fake yet."));
      this._none.hidden = this._list.childElementCount > 0;
    } catch (error) {
      if (isAbort(error)) return;
      setText(this._none, "");
      this._said.replaceChildren(troubleBox(asTrouble(error)));
    } finally {
      this._more.disabled = false;
    }
  }

  /** @param {Incident} incident */
  _row(incident) {
    const picture = h("div", { class: "incident-picture" });
    if (incident.snapshot) void this._picture(picture, incident.snapshot);
    return h(
      "li",
      { class: "incident", "data-id": incident.id },
      h(
        "a",
        { href: `#/incident/${encodeURIComponent(incident.id)}` },
        picture,
        h(
          "div",
          { class: "incident-words" },
          h("h2", {}, incident.stream),
          h("time", { datetime: incident.opened }, moment(incident.opened)),
          h(
            "p",
            {},
            t("Highest score {score}; {share} of the frames at the worst moment", {
              score: percent(incident.score),
              share: percent(incident.share),
            }),
          ),
        ),
        h("div", { class: "incident-state" }, incidentChip(incident), h("span", { class: "mark-words" }, markWords(incident.mark))),
      ),
    );
  }

  /**
   * @param {HTMLElement} place
   * @param {string} address
   */
  async _picture(place, address) {
    try {
      const url = URL.createObjectURL(await this._client.blob(address.replace(/^\//, ""), this._stop.signal));
      this._urls.push(url);
      place.append(h("img", { src: url, alt: "" }));
    } catch {
      // Erased in the meantime: the words stay.
    }
  }
}

/**
 * @param {string} name
 * @param {string} value as it stands in the form
 * @returns {string} as the server takes it
 */
function sent(name, value) {
  if (!value) return "";
  if (name === "since" || name === "until") return new Date(value).toISOString();
  return name === "least_score" ? String(Number(value) / 100) : value;
}

/**
 * @param {string} name
 * @param {string} value as the server takes it
 * @returns {string} as it stands in the form
 */
function shown(name, value) {
  if (!value) return "";
  if (name === "least_score") return String(Math.round(Number(value) * 1e4) / 100);
  if (name !== "since" && name !== "until") return value;
  const at = new Date(value);
  return Number.isNaN(at.getTime()) ? "" : new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}
