import { Incidents } from "../api/incidents.js";
import { asTrouble, isAbort } from "../api/trouble.js";
import { N, t } from "../language/language.js";
import { ClipPlayer } from "../parts/clip_player.js";
import { h, icon, setText } from "../parts/dom.js";
import { incidentChip, incidentWhy, markWords, reasons } from "../parts/incident_words.js";
import { troubleBox } from "../parts/notice.js";
import { saveAs } from "../parts/save_as.js";
import { ScoreCurve } from "../parts/score_curve.js";
import { eventWords, moment, percent } from "../parts/wording.js";

/** @import { Client } from "../api/client.js" */
/** @import { Evidence, Incident, IncidentDetail, Mark, Scope } from "../api/types.js" */

const BACK = "M19 12H5.5M11 6l-6 6l6 6";
const MOST_EVENTS = 50;
const BROKEN = 10;
/** @type {[string, string][]} */
const MARKS = [
  ["", N("Not reviewed yet")],
  ["confirmed", N("Confirmed")],
  ["false_alarm", N("False alarm")],
];

/** One person called fake: what was seen, why it was judged so, and what a person says of it. */
export class IncidentView {
  /**
   * @param {Client} client
   * @param {string} id
   */
  constructor(client, id) {
    this.title = `${t("Incident")} – streamguard`;
    this._client = client;
    this._incidents = new Incidents(client);
    this._id = id;
    this._stop = new AbortController();
    /** @type {ClipPlayer | null} */
    this._player = null;
    /** @type {ScoreCurve | null} */
    this._curve = null;
    /** @type {string[]} */
    this._urls = [];
    this._mayMark = true;
    this._heading = h("h1", { tabindex: "-1" }, t("Incident"));
    this._said = h("div", { class: "said", role: "alert" });
    this._content = h("div", { class: "incident-view" }, h("p", { class: "none", role: "status" }, t("Loading …")));
    this.element = h(
      "div",
      { class: "history" },
      h(
        "div",
        { class: "stream-head" },
        h("a", { class: "back", href: "#/history", "aria-label": t("History"), title: t("History") }, icon(BACK)),
        this._heading,
      ),
      this._said,
      this._content,
    );
  }

  start() {
    void this._load();
  }

  stop() {
    this._stop.abort();
    this._player?.stop();
    this._curve?.stop();
    for (const url of this._urls) URL.revokeObjectURL(url);
  }

  /** @param {Date | null} since the server does not answer since then */
  stale(since) {
    if (!since && !this._player && !this._curve) void this._load();
  }

  /** @param {Scope[]} scopes what the token opens */
  allow(scopes) {
    this._mayMark = scopes.includes("review") || scopes.includes("admin");
    this._content.toggleAttribute("data-reads", !this._mayMark);
  }

  async _load() {
    try {
      this._show(await this._incidents.get(this._id, this._stop.signal));
      this._said.replaceChildren();
    } catch (error) {
      if (isAbort(error)) return;
      const trouble = asTrouble(error);
      if (trouble.status === 404) trouble.remedy = t("It may have been erased. The history shows what there is.");
      this._content.replaceChildren();
      this._said.replaceChildren(troubleBox(trouble));
    }
  }

  /** @param {IncidentDetail} incident */
  _show(incident) {
    setText(this._heading, t("A face called fake in “{stream}”", { stream: incident.stream }));
    this.title = `${incident.stream}, ${moment(incident.opened)} – streamguard`;
    document.title = this.title;
    const clips = incident.evidence.filter(({ kind }) => kind === "clip");
    this._content.replaceChildren(
      h(
        "div",
        { class: "incident-left" },
        this._clipPanel(incident, clips),
        this._curvePanel(incident),
        this._pictures(incident.evidence.filter(({ kind }) => kind === "picture" || kind === "mask")),
      ),
      h("div", { class: "incident-right" }, this._facts(incident), this._why(incident), this._markForm(incident), this._events(incident)),
    );
  }

  /**
   * @param {IncidentDetail} incident
   * @param {Evidence[]} clips of its openings, oldest first
   */
  _clipPanel(incident, clips) {
    const place = h("div", {});
    const choice = h("select", { id: "clip-choice" });
    for (const [index, clip] of clips.entries()) {
      const opened = incident.events.find(({ id }) => id === clip.event);
      choice.append(h("option", { value: String(index) }, opened ? moment(opened.at) : String(index + 1)));
    }
    const show = () => {
      this._player?.stop();
      const clip = clips[choice.selectedIndex];
      if (!clip) return;
      this._player = new ClipPlayer(this._client, incident.id, clip);
      place.replaceChildren(this._player.element);
      void this._player.start();
    };
    choice.addEventListener("change", show);
    if (clips.length) show();
    else place.append(h("p", { class: "none" }, t("No clip is kept of it.")));
    const picker =
      clips.length > 1 && h("div", { class: "field clip-choice" }, h("label", { for: "clip-choice" }, t("Opened at")), choice);
    return panel("clip-title", t("The seconds before"), picker, place);
  }

  /** @param {IncidentDetail} incident */
  _curvePanel({ samples }) {
    if (!samples.length) return null;
    const first = Date.parse(samples[0].at) / 1000;
    const points = samples.map(({ at, score }) => ({ x: Date.parse(at) / 1000 - first, score }));
    const end = points.at(-1)?.x ?? 1;
    this._curve = new ScoreCurve(
      t("Score over the whole incident: at most {most}.", { most: percent(Math.max(...samples.map(({ score }) => score))) }),
    );
    this._curve.show(points, end, BROKEN + (2 * end) / points.length);
    const span = h(
      "p",
      { class: "curve-span" },
      h("span", {}, moment(samples[0].at)),
      h("span", {}, moment(samples[samples.length - 1].at)),
    );
    return panel("curve-title", t("Score over the whole incident"), this._curve.canvas, span);
  }

  /** @param {Evidence[]} pictures */
  _pictures(pictures) {
    if (!pictures.length) return null;
    const place = h("div", { class: "incident-pictures" });
    for (const { kind, href } of pictures.slice(0, 4)) {
      const caption = kind === "mask" ? t("What looks manipulated is painted") : t("The frame at which it opened");
      const image = h("img", { alt: caption });
      place.append(h("figure", {}, image, h("figcaption", {}, caption)));
      void this._fetchInto(image, href);
    }
    return panel("pictures-title", t("Pictures"), place);
  }

  /**
   * @param {HTMLImageElement} image
   * @param {string} href
   */
  async _fetchInto(image, href) {
    try {
      const url = URL.createObjectURL(await this._client.blob(href.replace(/^\//, ""), this._stop.signal));
      this._urls.push(url);
      image.src = url;
    } catch {
      image.closest("figure")?.remove();
    }
  }

  /** @param {Incident} incident */
  _facts(incident) {
    const facts = [
      [t("Opened"), moment(incident.opened)],
      [t("Closed"), incident.closed ? moment(incident.closed) : "–"],
      [t("Highest score"), percent(incident.score)],
      [t("Fake frames"), incident.judged ? t("{fake} of {judged}", { fake: incident.fake, judged: incident.judged }) : "–"],
      [t("Detector"), incident.model],
    ];
    const report = h("button", { type: "button", class: "primary" }, t("Save the report"));
    report.addEventListener("click", async () => {
      try {
        saveAs(await this._incidents.report(incident.id), `incident-${incident.id}.html`);
      } catch (error) {
        this._said.replaceChildren(troubleBox(asTrouble(error)));
      }
    });
    return h(
      "section",
      { class: "panel", "aria-label": t("Facts") },
      h("p", { class: "incident-status" }, incidentChip(incident), h("span", {}, incidentWhy(incident))),
      h("dl", { class: "figures" }, ...facts.map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value)))),
      h("p", { class: "estimate" }, t("An automated estimate. It may be wrong.")),
      h(
        "div",
        { class: "guard-tools" },
        report,
        h("a", { class: "button", href: `#/history?${new URLSearchParams({ stream: incident.stream })}` }, t("All of this stream")),
      ),
    );
  }

  /** @param {Incident} incident */
  _why(incident) {
    return panel("why-title", t("Why it was judged this way"), h("ul", { class: "reasons" }, ...reasons(incident).map((words) => h("li", {}, words))));
  }

  /** @param {Incident} incident */
  _markForm(incident) {
    const now = incident.mark ?? "";
    const radios = MARKS.map(([value, words]) =>
      h("label", { class: "tick" }, h("input", { type: "radio", name: "mark", value, checked: value === now }), t(words)),
    );
    const note = h("textarea", { id: "mark-note", rows: "3", maxlength: "2000" });
    note.value = incident.note;
    const said = h("p", { class: "mark-said", role: "status" });
    const form = h(
      "form",
      { class: "mark-form" },
      h("fieldset", { class: "ticks" }, h("legend", {}, t("Review by a person")), ...radios),
      h("label", { for: "mark-note" }, t("Note")),
      note,
      h("div", { class: "buttons" }, h("button", { type: "submit", class: "primary" }, t("Save")), said),
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const value = /** @type {Mark | ""} */ (new FormData(form).get("mark") ?? "");
      try {
        const marked = await this._incidents.mark(incident.id, { mark: value || null, note: note.value });
        setText(said, t("Saved: {mark}", { mark: markWords(marked.mark) }));
      } catch (error) {
        setText(said, "");
        this._said.replaceChildren(troubleBox(asTrouble(error)));
        this._said.scrollIntoView({ block: "center" });
      }
    });
    const reads = h("p", { class: "mark-reads" }, t("Your access token may look and not mark."), " ", markWords(incident.mark));
    return panel("mark-title", t("Mark"), reads, form);
  }

  /** @param {IncidentDetail} incident */
  _events({ events }) {
    const rows = events
      .slice(-MOST_EVENTS)
      .reverse()
      .map((event) =>
        h(
          "li",
          { class: "event", "data-kind": event.kind, "data-cause": event.cause ?? undefined },
          h("time", { datetime: event.at }, moment(event.at)),
          h("p", {}, eventWords(event)),
        ),
      );
    return panel("incident-events", t("Events"), h("ol", { class: "events" }, ...rows));
  }
}

/**
 * @param {string} id of its title
 * @param {string} title
 * @param {...(HTMLElement | false | null)} content
 */
function panel(id, title, ...content) {
  return h(
    "section",
    { class: "panel", "aria-labelledby": id },
    h("div", { class: "panel-head" }, h("h2", { id }, title)),
    ...content,
  );
}
