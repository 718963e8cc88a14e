import { sleep } from "../api/backoff.js";
import { followStream } from "../api/events.js";
import { asTrouble } from "../api/trouble.js";
import { t } from "../language/language.js";
import { h, setText } from "../parts/dom.js";
import { Player } from "../webrtc/whep.js";

/** @import { Client } from "../api/client.js" */
/** @import { Stream, VerdictMessage } from "../api/types.js" */

const AGAIN = 5;
const STALE = 1_500;

/**
 * A stream's picture with its marks and nothing else; or its marks alone, on nothing. Made to be shown by another
 * program, which nobody clicks in: it tries again for ever, and says in a corner when nothing is judged. Nothing old
 * stays in sight.
 */
export class CleanView {
  /**
   * @param {Client} client
   * @param {string} name the stream's
   * @param {boolean} alone the marks alone
   */
  constructor(client, name, alone) {
    this.title = `${name} – streamguard`;
    this._client = client;
    this._name = name;
    this._alone = alone;
    this._stop = new AbortController();
    this._judgedAt = -Infinity;
    this._busy = false;
    /** @type {Player | null} */
    this._player = null;
    this._video = h("video", { playsinline: true, muted: true, autoplay: true, hidden: true });
    this._video.muted = true;
    this._marks = h("img", { alt: "", hidden: true });
    this._said = h("p", { class: "clean-said", role: "status", hidden: true }, t("Not judged right now"));
    this.element = h("div", { class: "clean" }, alone ? this._marks : this._video, this._said);
  }

  start() {
    this._timer = setInterval(() => this._look(), STALE / 3);
    void (this._alone ? this._follow() : this._play());
  }

  stop() {
    this._stop.abort();
    clearInterval(this._timer);
    this._player?.stop();
    if (this._marks.src) URL.revokeObjectURL(this._marks.src);
  }

  /** Nothing here depends on what the token opens. */
  allow() {}

  /** What is shown tells by itself whether it is of now. */
  stale() {}

  async _play() {
    while (!this._stop.signal.aborted) {
      this._player = new Player(this._client, this._name, this._video, "live", () => this._judged());
      await this._player.run();
      await sleep(AGAIN, this._stop.signal, this._client);
    }
  }

  async _follow() {
    const signal = this._stop.signal;
    while (!signal.aborted) {
      try {
        await followStream(this._client, this._name, {
          signal,
          onEvent: (kind) => {
            if (kind === "verdict") void this._fetch();
          },
        });
      } catch (error) {
        if (signal.aborted) return;
        console.warn(asTrouble(error).title);
      }
      await sleep(AGAIN, signal, this._client);
    }
  }

  async _fetch() {
    if (this._busy) return;
    this._busy = true;
    const before = this._marks.src;
    try {
      const blob = await this._client.blob(`api/v1/streams/${encodeURIComponent(this._name)}/marks`, this._stop.signal);
      if (this._stop.signal.aborted) return;
      this._marks.src = URL.createObjectURL(blob);
      await this._marks.decode();
      this._judged();
    } catch {
      // Those of before are taken away when they are old.
    } finally {
      if (before && before !== this._marks.src) URL.revokeObjectURL(before);
      this._busy = false;
    }
  }

  _judged() {
    this._judgedAt = performance.now();
    this._look();
  }

  _look() {
    const judged = performance.now() - this._judgedAt < STALE;
    this._said.hidden = judged;
    this._marks.hidden = !judged;
    this._video.hidden = this._player?.phase !== "playing";
  }
}
