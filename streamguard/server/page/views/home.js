import { asTrouble, Trouble } from "../api/trouble.js";
import { N, t } from "../language/language.js";
import { h, icon, setText, TYPED } from "../parts/dom.js";
import { troubleBox } from "../parts/notice.js";
import { canShare } from "../webrtc/capture.js";
import { Wall } from "./wall.js";
import { WebhooksSection } from "./webhooks.js";

/** @import { Client } from "../api/client.js" */
/** @import { Scope, Stream } from "../api/types.js" */

const CAMERA =
  "M4 7.5h10.5a1.5 1.5 0 0 1 1.5 1.5v6a1.5 1.5 0 0 1-1.5 1.5H4A1.5 1.5 0 0 1 2.5 15V9A1.5 1.5 0 0 1 4 7.5ZM16 11l5.5-3v8L16 13";
const CALL =
  "M3 4.5h18v12H3ZM8.5 20h7M12 16.5V20M9.2 13.5c.3-1.7 1.4-2.6 2.8-2.6s2.5.9 2.8 2.6M12 10.8a1.7 1.7 0 1 0 0-3.4a1.7 1.7 0 0 0 0 3.4";
const FEED = "M5 18.5v.5M5 12.5a6.5 6.5 0 0 1 6.5 6.5M5 6a13 13 0 0 1 13 13";

const LACKS = {
  publish: N("Your access token may not send video. Ask for one that may."),
  admin: N("Your access token may not add feeds. Ask for one that may."),
};

/** The start page: three ways in, and the wall of streams. */
export class HomeView {
  /**
   * @param {Client} client
   * @param {(kind: "camera" | "call") => Promise<void>} publish opens the source and goes to its stream; throws Trouble
   */
  constructor(client, publish) {
    this.title = "streamguard";
    this._client = client;
    this._publish = publish;
    this._ended = new AbortController();
    this._wall = new Wall(client);
    this._ways = this._makeWays();
    this._webhooks = new WebhooksSection(client);
    this._empty = h(
      "p",
      { class: "none" },
      t("No stream is watched yet. Start one above; it appears here for everybody who uses this server."),
    );
    /** @type {Set<string>} */
    this._names = new Set();
    this._streams = h(
      "section",
      { class: "streams", "aria-labelledby": "streams-title" },
      h("div", { class: "section-head" }, h("h2", { id: "streams-title" }, t("Streams")), this._fullWall()),
      this._empty,
      this._wall.element,
    );
    this.element = h("div", { class: "home" }, this._hero(), this._ways, this._file(), this._streams, this._webhooks.element);
  }

  stop() {
    this._ended.abort();
    this._wall.stop();
    this._webhooks.stop();
  }

  /** @param {Stream[]} streams */
  show(streams) {
    this._names = new Set(streams.map(({ name }) => name));
    this._empty.hidden = streams.length > 0;
    this._wall.show(streams);
    this._streams.dataset.filled = String(streams.length > 0);
  }

  /** @param {Date | null} since the server does not answer since then */
  stale(since) {
    this._wall.stale(since);
  }

  /** @param {Scope[]} scopes what the token opens */
  allow(scopes) {
    for (const way of this._ways.querySelectorAll(".way")) {
      const needed = /** @type {HTMLElement} */ (way).dataset.needs === "admin" ? "admin" : "publish";
      const allowed = scopes.some((scope) => scope === needed);
      const lacks = way.querySelector(".lacks");
      if (lacks) setText(lacks, allowed ? "" : t(LACKS[needed]));
      for (const part of /** @type {NodeListOf<HTMLInputElement>} */ (way.querySelectorAll("button, input"))) {
        if (!allowed && !part.disabled) {
          part.disabled = true;
          part.dataset.lacks = "yes";
        } else if (allowed && part.dataset.lacks) {
          // What is disabled for another reason stays so.
          part.disabled = false;
          delete part.dataset.lacks;
        }
      }
    }
    this._webhooks.element.hidden = !scopes.includes("admin");
  }

  _hero() {
    return h(
      "div",
      { class: "hero" },
      h("h1", { tabindex: "-1" }, t("Is the face in this video real?")),
      h(
        "p",
        { class: "lead" },
        t("streamguard watches live video and paints what looks manipulated onto the face, within seconds."),
      ),
    );
  }

  _file() {
    return h("p", { class: "or-file" }, `${t("Have a video or picture instead?")} `, h("a", { href: "#/check" }, t("Check a file")));
  }

  _makeWays() {
    const share = canShare() || !window.isSecureContext;
    return h(
      "div",
      { class: "ways" },
      this._way(
        "camera",
        "publish",
        CAMERA,
        t("Check my camera"),
        t("See your own picture come back with every face judged."),
        h(
          "button",
          { class: "primary", type: "button", id: "check-camera", onclick: () => this._start("camera") },
          t("Check my camera"),
        ),
      ),
      this._way(
        "call",
        "publish",
        CALL,
        t("Guard a call"),
        share
          ? t(
              "Choose the tab or window of your call when the browser asks. Its picture goes to this server only, and the sound is never sent. A warning reaches you while you are in the call.",
            )
          : t("This browser cannot share a tab or window. Open this page on a computer to guard a call."),
        h(
          "button",
          { type: "button", id: "guard-call", disabled: !share, onclick: () => this._start("call") },
          t("Guard a call"),
        ),
      ),
      this._way(
        "feed",
        "admin",
        FEED,
        t("Watch a feed"),
        t("Give the address of a camera or broadcast: RTSP, RTMP, HLS or a file."),
        this._feed(),
      ),
    );
  }

  /**
   * @param {string} kind
   * @param {Scope} needs
   * @param {string} drawing
   * @param {string} title
   * @param {string} text
   * @param {HTMLElement} action
   */
  _way(kind, needs, drawing, title, text, action) {
    const id = `way-${kind}`;
    return h(
      "section",
      { class: "way", "aria-labelledby": id, "data-needs": needs },
      icon(drawing, "icon way-icon"),
      h("h2", { id }, title),
      h("p", {}, text),
      action,
      h("p", { class: "lacks" }),
      h("div", { class: "said", role: "alert" }),
    );
  }

  _feed() {
    const source = h("input", {
      id: "feed-source",
      name: "source",
      required: true,
      placeholder: "rtsp://camera.local/live",
      ...TYPED,
      inputmode: "url",
    });
    const name = h("input", {
      id: "feed-name",
      name: "name",
      placeholder: t("front-door"),
      ...TYPED,
    });
    const button = h("button", { type: "submit" }, t("Watch"));
    const form = h(
      "form",
      { class: "feed" },
      h("div", { class: "field" }, h("label", { for: "feed-source" }, t("Address")), source),
      h(
        "div",
        { class: "field" },
        h("label", { for: "feed-name" }, `${t("Name")} `, h("span", { class: "optional" }, t("optional"))),
        name,
      ),
      button,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const wanted = { source: source.value.trim(), ...(name.value.trim() && { name: name.value.trim() }) };
      void this._busy(button, async () => {
        if (wanted.name && this._names.has(wanted.name)) {
          throw new Trouble(t("There is a stream “{name}” already.", { name: wanted.name }), t("Choose another name."));
        }
        const stream = await this._client.watch(wanted);
        location.hash = `#/stream/${encodeURIComponent(stream.name)}`;
      });
    });
    return form;
  }

  _fullWall() {
    const button = h("button", { type: "button", class: "quiet" }, t("Full screen"));
    button.hidden = !document.fullscreenEnabled;
    const full = () => document.fullscreenElement === this._streams;
    button.addEventListener("click", () => {
      void (full() ? document.exitFullscreen() : this._streams.requestFullscreen());
    });
    document.addEventListener(
      "fullscreenchange",
      () => {
        setText(button, full() ? t("Leave full screen") : t("Full screen"));
        this._wall.fill(full());
      },
      { signal: this._ended.signal },
    );
    return button;
  }

  /** @param {"camera" | "call"} kind */
  _start(kind) {
    const button = /** @type {HTMLButtonElement} */ (
      this.element.querySelector(kind === "camera" ? "#check-camera" : "#guard-call")
    );
    void this._busy(button, () => this._publish(kind));
  }

  /**
   * @param {HTMLButtonElement} button
   * @param {() => Promise<void>} work
   */
  async _busy(button, work) {
    // Told where the button is, so that it is seen on a phone, too.
    const said = button.closest(".way")?.querySelector(".said");
    said?.replaceChildren();
    button.disabled = true;
    try {
      await work();
    } catch (error) {
      said?.replaceChildren(troubleBox(asTrouble(error)));
    } finally {
      button.disabled = false;
    }
  }
}
