import { followStream } from "../api/events.js";
import { asTrouble, Trouble } from "../api/trouble.js";
import { t } from "../language/language.js";
import { h, icon, setText } from "../parts/dom.js";
import { EventList } from "../parts/event_list.js";
import { FaceList } from "../parts/faces.js";
import { HealthPanel, PlaybackMeter } from "../parts/health.js";
import { troubleBox } from "../parts/notice.js";
import { OutputList } from "../parts/outputs.js";
import { stateSign } from "../parts/state_chip.js";
import { Timeline } from "../parts/timeline.js";
import { causeWords, clock, headlineOf, verdictWords } from "../parts/wording.js";
import { Stage } from "./stage.js";

/** @import { Client } from "../api/client.js" */
/** @import { Scope, Stream, StreamEvent, Verdict, VerdictMessage } from "../api/types.js" */
/** @import { Publisher } from "../webrtc/whip.js" */

const BACK = "M19 12H5.5M11 6l-6 6l6 6";
const DIRECT = 2_000;
const SPOKEN = 5_000;
const LATE = 3_000;
const LOOK = 500;

/** One stream: its picture, what is said of it, and how it gets here. */
export class StreamView {
  /**
   * @param {Client} client
   * @param {string} name
   * @param {object} options
   * @param {Publisher | null} options.publisher this page's own, if it sends the stream
   * @param {(event: StreamEvent) => void} options.onEvent
   * @param {(words: string) => void} options.speak for screen readers
   * @param {HTMLElement | null} options.panel how the call is guarded, where this page guards it
   */
  constructor(client, name, { publisher, onEvent, speak, panel }) {
    this.title = `${name} – streamguard`;
    this._client = client;
    this._name = name;
    this._publisher = publisher;
    this._onEvent = onEvent;
    this._speak = speak;
    this._stop = new AbortController();
    this._mayRemove = true;
    this._lastDirect = -Infinity;
    this._spokenAt = -Infinity;
    /** @type {Stream | null} */
    this._stream = null;
    /** @type {Verdict | null} */
    this._verdict = null;
    /** @type {Verdict | null} */
    this._told = null;
    /** When the stream was heard of last. @type {Date | null} */
    this._heard = null;
    this._heardAt = -Infinity;
    /** Since when what is shown is of the past. @type {Date | null} */
    this._since = null;
    /** What was said last of pictures that came, and when. @type {Verdict | null} */
    this._live = null;
    /** @type {Date | null} */
    this._liveAt = null;

    this._timeline = new Timeline();
    this._faces = new FaceList();
    this._events = new EventList(client);
    this._health = new HealthPanel();
    this._outputs = new OutputList();
    this._meter = new PlaybackMeter();
    this._stage = new Stage(client, name, { publisher, onVerdict: (message) => this._direct(message) });

    this._headline = h("p", { class: "verdict-headline" }, headlineOf("UNKNOWN"));
    this._sentence = h("p", { class: "verdict-sentence" }, t("Waiting for the first judged frames."));
    this._past = h("p", { class: "as-of", hidden: true });
    this._uncleared = h("p", { class: "uncleared", hidden: true });
    this._about = h("p", { class: "about" });
    this._said = h("div", { class: "said", role: "alert" });
    this._panel = h(
      "section",
      { class: "panel verdict", "aria-label": t("Verdict"), "data-state": "UNKNOWN" },
      this._headline,
      stateSign("UNKNOWN"),
      this._past,
      this._sentence,
      this._uncleared,
      h("p", { class: "estimate" }, t("An automated estimate. It may be wrong.")),
    );
    this._remove = h(
      "button",
      { type: "button", class: "quiet", hidden: true, onclick: () => this._confirmRemoval() },
      t("Remove this stream"),
    );
    this.element = h(
      "div",
      { class: "stream" },
      h(
        "div",
        { class: "stream-head" },
        h("a", { class: "back", href: "#/", "aria-label": t("All streams"), title: t("All streams") }, icon(BACK)),
        h("h1", { tabindex: "-1" }, name),
        this._about,
      ),
      this._said,
      h(
        "div",
        { class: "stream-main" },
        h("div", { class: "stream-left" }, this._stage.element, this._timeline.element),
        h(
          "div",
          { class: "stream-right" },
          panel,
          this._panel,
          this._faces.element,
          this._events.element,
          this._health.element,
          this._outputs.element,
          this._remove,
        ),
      ),
    );
  }

  start() {
    this._timeline.start();
    this._stage.start();
    this._ticker = setInterval(() => void this._tick(), 1000);
    this._looker = setInterval(() => this._look(), LOOK);
    void this._follow();
  }

  stop() {
    this._stop.abort();
    this._speak("");
    clearInterval(this._ticker);
    clearInterval(this._looker);
    this._timeline.stop();
    this._stage.stop();
    this._events.stop();
  }

  /** @param {Scope[]} scopes what the token opens */
  allow(scopes) {
    this._mayRemove = scopes.includes("admin");
    this._offerRemoval();
  }

  _offerRemoval() {
    this._remove.hidden = this._stream?.kind !== "pulled" || !this._mayRemove;
  }

  async _history() {
    let told = false;
    try {
      for (const event of await this._client.events({ stream: this._name, limit: "40" }, this._stop.signal)) {
        this._events.take(event);
        // Newest first: the first of them tells how it stands.
        if (!told && event.kind.startsWith("fake.")) {
          told = true;
          this._clearing(event);
        }
      }
    } catch {
      // The list begins with what comes from now on.
    }
  }

  async _follow() {
    try {
      await followStream(this._client, this._name, {
        signal: this._stop.signal,
        onEvent: (kind, data) => this._take(kind, data),
        onAbsent: () => this._absent(),
      });
    } catch (error) {
      this._fail(asTrouble(error));
    }
  }

  _absent() {
    // Our own stream is announced but not there yet.
    if (this._publisher && ["connecting", "waiting", "live"].includes(this._publisher.phase)) return;
    if (this._stream) {
      if (this._stream.state !== "ended") this._show({ ...this._stream, state: "ended", detail: "" });
      return;
    }
    const said = t("There is no stream \u201c{name}\u201d.", { name: this._name });
    this._fail(new Trouble(said, t("It may have ended. The start page shows what there is.")));
  }

  /** @param {Trouble} trouble */
  _fail(trouble) {
    if (!this._stream) this.element.dataset.absent = "yes";
    this._stage.fail(trouble);
  }

  /**
   * @param {string} kind
   * @param {any} data
   */
  _take(kind, data) {
    this._heard = new Date();
    this._heardAt = performance.now();
    this._look();
    if (kind === "state") this._show(data);
    else if (kind === "erased") this._events.erasePictures();
    else if (kind === "alert") {
      this._events.take(data);
      this._clearing(data);
      this._onEvent(data);
    } else if (kind === "verdict" && performance.now() - this._lastDirect > DIRECT) this._judged(data);
  }

  /** @param {VerdictMessage} message from the data channel: sooner than the same by server-sent events */
  _direct(message) {
    this._lastDirect = performance.now();
    this._judged(message);
  }

  /** @param {VerdictMessage} message */
  _judged(message) {
    this._timeline.push(message.share, message.state);
    // All panels tell the same moment.
    if (this._faces.push(message.faces) || message.state !== this._verdict) {
      this._sayVerdict(message.state, message.share, message.suspect_share);
    }
  }

  /** @param {Stream} stream */
  _show(stream) {
    if (!this._stream) {
      void this._history();
      delete this.element.dataset.absent;
    }
    this._stream = stream;
    this._timeline.setVote(stream.vote);
    this._health.show(stream);
    this._outputs.show(stream.outputs);
    this._stage.show(stream);
    const own = this._publisher ? { camera: t("Your camera"), call: t("Your call") }[this._publisher.kind] : "";
    setText(this._about, own || stream.source || t("Published to this server"));
    this._offerRemoval();
    this._faces.setPicture(stream.state === "up");
    if (performance.now() - this._lastDirect > DIRECT) this._faces.set(stream.state === "up" ? stream.tracks : []);
    if (stream.state === "ended" || stream.state === "failed") this._sayLast(stream);
    else {
      this._past.hidden = true;
      if (stream.state !== "up") this._sayVerdict("UNKNOWN", null);
    }
  }

  /**
   * A stream that is over keeps its last verdict, marked as past.
   *
   * @param {Stream} stream
   */
  _sayLast(stream) {
    const last = this._live ?? stream.last_verdict;
    this._panel.dataset.past = "yes";
    this._past.hidden = last === null;
    if (last === null) {
      this._sayVerdict("UNKNOWN", null);
      return;
    }
    this._sayVerdict(last, null);
    setText(this._past, this._liveAt ? t("Last verdict, as of {time}", { time: clock(this._liveAt) }) : t("Last verdict"));
    setText(this._sentence, t("The stream is over. Nothing is judged any more."));
    document.title = this.title;
  }

  /**
   * Whoever was called fake and has gone was not cleared, whatever is said of those who are left.
   *
   * @param {StreamEvent} event
   */
  _clearing(event) {
    if (event.kind !== "fake.opened" && event.kind !== "fake.closed") return;
    const open = event.kind === "fake.closed" && event.cause !== "cleared" && event.cause !== "superseded";
    this._uncleared.hidden = !open;
    if (!open) return;
    const values = { time: clock(event.at), why: causeWords(event) };
    setText(this._uncleared, t("A face that looked fake was not cleared ({time}). {why}", values));
  }

  /** What is shown is greyed once nothing was heard for a while. */
  _look() {
    if (!this._stream) return;
    const over = this._stream.state === "ended" || this._stream.state === "failed";
    const late = !this._client.reachable || (!over && performance.now() - this._heardAt > LATE);
    if (late === Boolean(this._since)) return;
    this._since = late ? this._heard : null;
    this.element.toggleAttribute("data-stale", late);
    this._stage.stale(this._since);
    if (this._since) {
      this._health.stale();
      this._past.hidden = false;
      setText(this._past, t("as of {time}", { time: clock(this._since) }));
      document.title = this.title;
    } else this._show(this._stream);
  }

  /** @param {Date | null} since the server does not answer since then */
  stale(since) {
    if (since) this._heard ??= since;
    this._look();
  }

  /**
   * @param {Verdict} verdict
   * @param {number | null} share
   * @param {number | null} [suspect] share of fake and unsure frames
   */
  _sayVerdict(verdict, share, suspect = null) {
    const up = (this._stream?.state ?? "up") === "up";
    const said = verdict === "UNSURE" ? suspect : share;
    const { headline, sentence } = verdictWords(verdict, said, this._faces.size, up);
    setText(this._sentence, sentence);
    this._timeline.say(share, up ? verdict : "UNKNOWN");
    if (up) {
      this._live = verdict;
      this._liveAt = new Date();
      delete this._panel.dataset.past;
    }
    if (verdict === this._verdict) return;
    this._verdict = verdict;
    this._panel.dataset.state = verdict;
    this._stage.element.dataset.state = up ? verdict : "UNKNOWN";
    this._panel.querySelector(".sign")?.replaceWith(stateSign(verdict));
    setText(this._headline, headline);
    document.title = verdict === "FAKE" ? t("Looks fake: {title}", { title: this.title }) : this.title;
    this._tell();
  }

  /** For screen readers: FAKE is told by the banner, the rest not oftener than one can listen. */
  _tell() {
    const now = performance.now();
    const verdict = this._verdict;
    if (!verdict || verdict === this._told || (verdict !== "FAKE" && now - this._spokenAt < SPOKEN)) return;
    this._told = verdict;
    if (verdict !== "FAKE") this._spokenAt = now;
    this._speak(verdict === "FAKE" ? "" : `${this._name}: ${verdictWords(verdict, null, 0).headline}.`);
  }

  async _tick() {
    this._tell();
    this._health.showPlayback(await this._meter.read(this._stage.peer));
    if (this._stream?.state === "up" && !this._since && performance.now() - this._lastDirect > DIRECT) {
      const shares = this._stream.tracks.map(({ share }) => share).filter((share) => share !== null);
      if (!shares.length) this._sayVerdict(this._stream.verdict, null);
    }
  }

  _confirmRemoval() {
    const dialog = h(
      "dialog",
      { class: "dialog", "aria-labelledby": "remove-title" },
      h("h2", { id: "remove-title" }, t("Remove {name}?", { name: this._name })),
      h("p", {}, t("The server stops watching it for everybody. Its events are kept.")),
      h(
        "div",
        { class: "buttons" },
        h("button", { type: "button", class: "primary", onclick: () => void remove() }, t("Remove")),
        h("button", { type: "button", onclick: () => dialog.close() }, t("Keep")),
      ),
    );
    const remove = async () => {
      dialog.close();
      try {
        await this._client.remove(this._name);
        location.hash = "#/";
      } catch (error) {
        this._said.replaceChildren(troubleBox(asTrouble(error)));
      }
    };
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }
}
