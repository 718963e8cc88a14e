import { follow } from "../api/events.js";
import { asTrouble } from "../api/trouble.js";
import { h, icon, setText } from "../parts/dom.js";
import { EventList } from "../parts/event_list.js";
import { FaceList } from "../parts/faces.js";
import { HealthPanel, PlaybackMeter } from "../parts/health.js";
import { troubleBox } from "../parts/notice.js";
import { OutputList } from "../parts/outputs.js";
import { stateSign } from "../parts/state_chip.js";
import { Timeline } from "../parts/timeline.js";
import { verdictWords } from "../parts/wording.js";
import { Stage } from "./stage.js";

/** @import { Client } from "../api/client.js" */
/** @import { Scope, Stream, StreamEvent, Verdict, VerdictMessage } from "../api/types.js" */
/** @import { Publisher } from "../webrtc/whip.js" */

const BACK = "M19 12H5.5M11 6l-6 6l6 6";
const DIRECT = 2_000;
const SPOKEN = 5_000;

/** One stream: its picture, what is said of it, and how it gets here. */
export class StreamView {
  /**
   * @param {Client} client
   * @param {string} name
   * @param {object} options
   * @param {Publisher | null} options.publisher this page's own, if it sends the stream
   * @param {(event: StreamEvent) => void} options.onEvent
   * @param {(words: string) => void} options.speak for screen readers
   */
  constructor(client, name, { publisher, onEvent, speak }) {
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

    this._timeline = new Timeline();
    this._faces = new FaceList();
    this._events = new EventList(client);
    this._health = new HealthPanel();
    this._outputs = new OutputList();
    this._meter = new PlaybackMeter();
    this._stage = new Stage(client, name, { publisher, onVerdict: (message) => this._direct(message) });

    this._headline = h("p", { class: "verdict-headline" }, "Not judged");
    this._sentence = h("p", { class: "verdict-sentence" }, "Waiting for the first judged frames.");
    this._about = h("p", { class: "about" });
    this._said = h("div", { class: "said", role: "alert" });
    this._panel = h(
      "section",
      { class: "panel verdict", "aria-label": "Verdict", "data-state": "UNKNOWN" },
      this._headline,
      stateSign("UNKNOWN"),
      this._sentence,
      h("p", { class: "estimate" }, "An automated estimate. It may be wrong."),
    );
    this._remove = h(
      "button",
      { type: "button", class: "quiet", hidden: true, onclick: () => this._confirmRemoval() },
      "Remove this stream",
    );
    this.element = h(
      "div",
      { class: "stream" },
      h(
        "div",
        { class: "stream-head" },
        h("a", { class: "back", href: "#/", "aria-label": "All streams", title: "All streams" }, icon(BACK)),
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
    void this._follow();
  }

  stop() {
    this._stop.abort();
    this._speak("");
    clearInterval(this._ticker);
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
    try {
      for (const event of await this._client.events({ stream: this._name, limit: "40" }, this._stop.signal)) {
        this._events.take(event);
      }
    } catch {
      // The list begins with what comes from now on.
    }
  }

  async _follow() {
    const path = `api/v1/streams/${encodeURIComponent(this._name)}/events`;
    const signal = this._stop.signal;
    for (;;) {
      try {
        await follow(this._client, path, { signal, onEvent: (kind, data) => this._take(kind, data) });
        return;
      } catch (error) {
        const trouble = asTrouble(error);
        const coming = this._publisher && ["connecting", "waiting", "live"].includes(this._publisher.phase);
        if (trouble.status !== 404 || !coming) {
          if (!this._stream) this.element.dataset.absent = "yes";
          // The server's own remedy is meant for programs.
          if (trouble.status === 404) trouble.remedy = "It may have ended. The start page shows what there is.";
          this._stage.fail(trouble);
          return;
        }
        // Our own stream is announced but not there yet.
        await new Promise((resolve) => setTimeout(resolve, 500));
        if (signal.aborted) return;
      }
    }
  }

  /**
   * @param {string} kind
   * @param {any} data
   */
  _take(kind, data) {
    if (kind === "state") this._show(data);
    else if (kind === "erased") this._events.erasePictures();
    else if (kind === "alert") {
      this._events.take(data);
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
    if (!this._stream) void this._history();
    this._stream = stream;
    this._timeline.setVote(stream.vote);
    this._health.show(stream);
    this._outputs.show(stream.outputs);
    this._stage.show(stream);
    const own = this._publisher ? { camera: "Your camera", call: "Your call" }[this._publisher.kind] : "";
    setText(this._about, own || stream.source || "Published to this server");
    this._offerRemoval();
    this._faces.setPicture(stream.state === "up");
    if (performance.now() - this._lastDirect > DIRECT) this._faces.set(stream.state === "up" ? stream.tracks : []);
    if (stream.state !== "up") this._sayVerdict("UNKNOWN", null);
  }

  /**
   * @param {Verdict} verdict
   * @param {number | null} share
   * @param {number | null} [suspect] share of fake and unsure frames
   */
  _sayVerdict(verdict, share, suspect = null) {
    const said = verdict === "UNSURE" ? suspect : share;
    const { headline, sentence } = verdictWords(verdict, said, this._faces.size, (this._stream?.state ?? "up") === "up");
    setText(this._sentence, sentence);
    this._timeline.say(share, verdict);
    if (verdict === this._verdict) return;
    this._verdict = verdict;
    this._panel.dataset.state = verdict;
    this._stage.element.dataset.state = verdict;
    this._panel.querySelector(".sign")?.replaceWith(stateSign(verdict));
    setText(this._headline, headline);
    document.title = `${verdict === "FAKE" ? "Looks fake: " : ""}${this.title}`;
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
    if (this._stream?.state === "up" && performance.now() - this._lastDirect > DIRECT) {
      const shares = this._stream.tracks.map(({ share }) => share).filter((share) => share !== null);
      if (!shares.length) this._sayVerdict(this._stream.verdict, null);
    }
  }

  _confirmRemoval() {
    const dialog = h(
      "dialog",
      { class: "dialog", "aria-labelledby": "remove-title" },
      h("h2", { id: "remove-title" }, `Remove ${this._name}?`),
      h("p", {}, "The server stops watching it for everybody. Its events are kept."),
      h(
        "div",
        { class: "buttons" },
        h("button", { type: "button", class: "primary", onclick: () => void remove() }, "Remove"),
        h("button", { type: "button", onclick: () => dialog.close() }, "Keep"),
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
