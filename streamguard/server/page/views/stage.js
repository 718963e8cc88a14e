import { Trouble } from "../api/trouble.js";
import { HlsPlayer } from "../hls/player.js";
import { N, t } from "../language/language.js";
import { h, icon, setText } from "../parts/dom.js";
import { Snapshot } from "../parts/snapshot.js";
import { clock, streamWords } from "../parts/wording.js";
import { Player } from "../webrtc/whep.js";

/** @import { Client } from "../api/client.js" */
/** @import { Stream, VerdictMessage } from "../api/types.js" */
/** @import { Overlay } from "../webrtc/whep.js" */
/** @import { Publisher } from "../webrtc/whip.js" */

const POSTER = 2_000;
const CORNERS = "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5";

/** @typedef {Overlay | "hls"} Marks */

/** @type {[Marks, string, string][]} */
const MARKS = [
  ["live", N("Live"), N("The picture at once; the marks follow the face.")],
  ["exact", N("Exact"), N("A little later, each picture with its own marks.")],
  ["none", N("Off"), N("The picture alone; it is judged all the same.")],
  [
    "hls",
    N("With sound"),
    N("The HLS output: some seconds later, each picture with its own marks, and its sound."),
  ],
];

/** The picture: the video that comes back, or a sentence that says why there is none. */
export class Stage {
  /**
   * @param {Client} client
   * @param {string} name
   * @param {object} options
   * @param {Publisher | null} options.publisher
   * @param {(message: VerdictMessage) => void} options.onVerdict
   */
  constructor(client, name, { publisher, onVerdict }) {
    this._client = client;
    this._name = name;
    this._publisher = publisher;
    this._onVerdict = onVerdict;
    /** @type {Marks} */
    this._marks = "live";
    /** @type {Player | HlsPlayer | null} */
    this._player = null;
    /** @type {Stream | null} */
    this._stream = null;
    /** @type {Trouble | null} */
    this._failure = null;
    this._video = h("video", {
      playsinline: true,
      muted: true,
      autoplay: true,
      disablepictureinpicture: true,
      controlslist: "nofullscreen nodownload noremoteplayback",
      "aria-label": t("Live picture of {name} with its marks", { name }),
    });
    this._video.muted = true;
    this._poster = new Snapshot(client, name);
    this._headline = h("p", { class: "stage-headline" });
    this._sentence = h("p", { class: "stage-sentence" });
    this._action = h("a", { class: "button", href: "#/" }, t("To the start page"));
    this._message = h("div", { class: "stage-message", role: "status" }, this._headline, this._sentence, this._action);
    this._past = h("p", { class: "as-of stage-past", hidden: true });
    this._frame = h("div", { class: "stage-frame" }, this._poster.element, this._video, this._message, this._past);
    this._stopButton = h(
      "button",
      { type: "button", class: "primary", hidden: true, onclick: () => publisher?.stop() },
      t("Stop"),
    );
    this._note = h("p", { class: "stage-note", hidden: true }, t("Some seconds behind the verdicts on this page."));
    this.element = h("div", { class: "stage" }, this._frame, this._tools(), this._note);
    this._changed = () => this._render();
  }

  /** @returns {RTCPeerConnection | null} */
  get peer() {
    return this._player?.peer ?? null;
  }

  start() {
    this._publisher?.addEventListener("change", this._changed);
    this._render();
    this._timer = setInterval(() => {
      if (this._player?.phase === "playing" || document.hidden || !this._client.reachable) return;
      // Before the first judged frame there is no picture to ask for.
      if (this._stream && this._stream.last_verdict !== null) void this._poster.refresh();
    }, POSTER);
  }

  stop() {
    clearInterval(this._timer);
    this._publisher?.removeEventListener("change", this._changed);
    this._player?.stop();
    this._poster.stop();
  }

  /** @param {Stream} stream */
  show(stream) {
    this._stream = stream;
    // Upright phone pictures keep their form, within what leaves the rest in sight.
    if (stream.width && stream.height) {
      this._frame.style.aspectRatio = String(Math.min(2.4, Math.max(0.75, stream.width / stream.height)));
    }
    this._failure = null;
    this._withSound.hidden = !this._playlist;
    if (!this._playlist && this._marks === "hls") {
      this._live.checked = true;
      this._marks = "live";
      this._halt();
    }
    // A stream that is over has nothing to play, and asking for it is an error.
    if (stream.state === "ended" || stream.state === "failed") this._halt(true);
    else if (!this._player) this._play();
    this._render();
  }

  /** @param {Trouble} trouble one that does not mend itself */
  fail(trouble) {
    this._failure = trouble;
    this._halt();
    this._poster.element.hidden = true;
    this._render();
  }

  /** @param {Date | null} since the picture is not of now any more since then */
  stale(since) {
    this.element.toggleAttribute("data-stale", Boolean(since));
    this._past.hidden = !since;
    if (since) setText(this._past, t("as of {time}", { time: clock(since) }));
  }

  /** @returns {string | undefined} where the stream's HLS output is, if it has one that something was written to */
  get _playlist() {
    return this._stream?.outputs.find(({ hls, pictures }) => hls && pictures)?.hls?.slice(1);
  }

  /** @param {Marks} marks */
  _choose(marks) {
    this._marks = marks;
    if (this._player) this._play();
  }

  /** @param {boolean} [over] whether the stream is */
  _halt(over = false) {
    this._player?.stop(over);
    this._player = null;
  }

  _play() {
    this._player?.stop();
    const sound = this._marks === "hls";
    this._video.muted = !sound;
    this._video.controls = sound;
    this._note.hidden = !sound;
    this._player =
      this._marks === "hls"
        ? new HlsPlayer(this._client, this._playlist ?? "", this._video)
        : new Player(this._client, this._name, this._video, this._marks, this._onVerdict);
    this._player.addEventListener("change", this._changed);
    void this._player.run();
    this._render();
  }

  _render() {
    const words = this._words();
    this._frame.dataset.empty = String(Boolean(words));
    this._message.hidden = !words;
    this._video.hidden = this._player?.phase !== "playing";
    this._poster.element.dataset.behind = String(this._video.hidden);
    this._stopButton.hidden = !this._publisher || ["ended", "failed"].includes(this._publisher.phase);
    if (!words) return;
    setText(this._headline, words.headline);
    setText(this._sentence, words.sentence);
    this._action.hidden = !words.over;
  }

  /** @returns {{headline: string, sentence: string, over: boolean} | null} null while the picture plays */
  _words() {
    const publisher = this._publisher;
    if (publisher?.phase === "failed" && publisher.trouble) return over(publisher.trouble);
    if (publisher?.phase === "ended") {
      return { headline: t("Stopped"), sentence: t("Nothing is sent any more."), over: true };
    }
    if (this._failure) return over(this._failure);
    const stream = this._stream && streamWords(this._stream);
    if (stream) return { ...stream, over: this._stream?.state === "ended" || this._stream?.state === "failed" };
    if (publisher?.phase === "waiting" && publisher.trouble) return again(publisher.trouble);
    const player = this._player;
    if (player?.phase === "playing") return null;
    if (player?.phase === "failed" && player.trouble) return over(player.trouble);
    if (player?.phase === "waiting" && player.trouble && player.trouble.status !== 404) return again(player.trouble);
    return { headline: t("Connecting"), sentence: t("The picture appears in a moment."), over: false };
  }

  _tools() {
    const full = h(
      "button",
      {
        type: "button",
        class: "quiet",
        "aria-label": t("Full screen"),
        title: t("Full screen"),
        onclick: () => void this._frame.requestFullscreen(),
      },
      icon(CORNERS),
    );
    full.hidden = !document.fullscreenEnabled;
    const marks = MARKS.map(([value, label, why]) => {
      const input = h("input", { type: "radio", name: "marks", value, checked: value === this._marks });
      input.addEventListener("change", () => this._choose(value));
      return h("label", { title: t(why) }, input, h("span", {}, t(label)));
    });
    this._withSound = marks[3];
    this._withSound.hidden = true;
    this._live = /** @type {HTMLInputElement} */ (marks[0].querySelector("input"));
    return h(
      "div",
      { class: "stage-tools" },
      this._stopButton,
      h("fieldset", { class: "segments" }, h("legend", {}, t("Marks")), ...marks),
      full,
    );
  }
}

/**
 * @param {Trouble} trouble
 */
function over(trouble) {
  return { headline: trouble.title, sentence: trouble.remedy, over: true };
}

/**
 * @param {Trouble} trouble
 */
function again(trouble) {
  return { headline: t("Trying again"), sentence: `${trouble.title} ${trouble.remedy}`, over: false };
}
