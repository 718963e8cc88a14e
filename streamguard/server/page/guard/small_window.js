import { t } from "../language/language.js";
import { h, setText } from "../parts/dom.js";
import { stateSign } from "../parts/state_chip.js";
import { clock, verdictWords } from "../parts/wording.js";
import { Player } from "../webrtc/whep.js";

/** @import { Client } from "../api/client.js" */
/** @import { Guard } from "./guard.js" */

/** @typedef {"document" | "video" | "none"} Means what this browser can keep on top of other windows */

const SIZE = { width: 340, height: 330 };

/** @returns {Means} */
export function means() {
  if ("documentPictureInPicture" in window) return "document";
  const able = document.pictureInPictureEnabled && "requestPictureInPicture" in HTMLVideoElement.prototype;
  return able ? "video" : "none";
}

/**
 * A small window that stays on top of the call: the picture with its marks, and the verdict. Where the browser has
 * windows for videos only, the marks in the picture tell the verdict. Its "change" event tells open and closed.
 */
export class SmallWindow extends EventTarget {
  /**
   * @param {Client} client
   * @param {Guard} guard
   */
  constructor(client, guard) {
    super();
    this._client = client;
    this._guard = guard;
    this._means = means();
    /** @type {Window | null} */
    this._window = null;
    /** @type {Player | null} */
    this._player = null;
    this._video = h("video", { playsinline: true, muted: true, autoplay: true });
    this._video.muted = true;
    this._headline = h("p", { class: "small-headline" });
    this._sentence = h("p", { class: "small-sentence" });
    this._past = h("p", { class: "as-of" });
    this._body = h(
      "main",
      { class: "small", "data-state": "UNKNOWN" },
      h("div", { class: "small-head" }, stateSign("UNKNOWN"), this._headline),
      this._past,
      this._video,
      this._sentence,
    );
    this._changed = () => this._show();
    guard.addEventListener("change", this._changed);
    if (this._means === "video") {
      // Its pictures have to be there already when the button is pressed.
      this._video.classList.add("unseen");
      document.body.append(this._video);
      this._video.addEventListener("leavepictureinpicture", () => this.dispatchEvent(new Event("change")));
    }
  }

  /** @returns {boolean} */
  get open() {
    return this._window !== null || document.pictureInPictureElement === this._video;
  }

  /** Opens it; in the handler of a click, as browsers want. Throws what the browser throws. */
  async show() {
    if (this._means === "document") await this._openDocument();
    else if (this._means === "video") await this._video.requestPictureInPicture();
    this.dispatchEvent(new Event("change"));
  }

  close() {
    this._window?.close();
    if (document.pictureInPictureElement === this._video) void document.exitPictureInPicture();
  }

  /** The guarding is over. */
  stop() {
    this.close();
    this._player?.stop();
    this._guard.removeEventListener("change", this._changed);
    this._video.remove();
  }

  async _openDocument() {
    // @ts-expect-error: not in the library of types yet
    const opened = /** @type {Window} */ (await documentPictureInPicture.requestWindow(SIZE));
    this._window = opened;
    const { head, body, documentElement } = opened.document;
    documentElement.lang = document.documentElement.lang;
    opened.document.title = t("Guarded by streamguard");
    for (const sheet of /** @type {NodeListOf<HTMLLinkElement>} */ (document.querySelectorAll("link[rel=stylesheet]"))) {
      head.append(h("link", { rel: "stylesheet", href: sheet.href }));
    }
    body.className = "small-body";
    body.append(this._body);
    opened.addEventListener("pagehide", () => this._closed());
    this._show();
  }

  _closed() {
    this._window = null;
    this._player?.stop();
    this._player = null;
    this.dispatchEvent(new Event("change"));
  }

  _play() {
    // What is not there yet cannot be played.
    if (this._player || !this._guard.stream || (this._means === "document" && !this._window)) return;
    this._player = new Player(this._client, this._guard.name, this._video, "live", () => {});
    void this._player.run();
  }

  _show() {
    const { verdict, share, faces, stream, stale, over, heard } = this._guard;
    if (over) this._player?.stop(true);
    else this._play();
    // A window that shows the picture alone cannot say that it is an old one.
    if ((over || stale) && this._means === "video") this.close();
    const words = verdictWords(verdict, share, faces, stream?.state === "up");
    const past = over ? heard : stale;
    this._body.dataset.state = verdict;
    this._body.toggleAttribute("data-stale", Boolean(past));
    this._body.querySelector(".sign")?.replaceWith(stateSign(verdict));
    setText(this._headline, words.headline);
    setText(this._past, past ? t("as of {time}", { time: clock(past) }) : "");
    let sentence = words.sentence;
    if (over) sentence = t("Stopped: nothing is guarded any more.");
    else if (stale) sentence = t("The streamguard server does not answer.");
    setText(this._sentence, sentence);
  }
}
