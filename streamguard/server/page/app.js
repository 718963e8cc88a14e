import { sleep } from "./api/backoff.js";
import { Client } from "./api/client.js";
import { asTrouble, Trouble } from "./api/trouble.js";
import { AlertBanner } from "./parts/banner.js";
import { Chime } from "./parts/chime.js";
import { byId, h, setText } from "./parts/dom.js";
import { troubleBox } from "./parts/notice.js";
import { askToken } from "./parts/token_dialog.js";
import { HomeView } from "./views/home.js";
import { StreamView } from "./views/stream_view.js";
import { openCamera, openShare } from "./webrtc/capture.js";
import { freshName, Publisher } from "./webrtc/whip.js";

const POLL = 2;
const POLL_HIDDEN = 4;

/** The whole page: which view is shown, what this page sends, and the alerts of all streams. */
class App {
  constructor() {
    this._client = new Client(askToken);
    const chime = new Chime(byId("sound"));
    this._alerts = new AlertBanner(byId("alerts"), () => chime.play());
    /** @type {Publisher | null} */
    this._publisher = null;
    /** @type {HomeView | StreamView | null} */
    this._view = null;
    this._said = "";
  }

  start() {
    this._client.addEventListener("gone", () => this._gone());
    this._client.addEventListener("back", () => byId("notice").replaceChildren());
    addEventListener("hashchange", () => this._route(true));
    addEventListener("online", () => this._client.retryNow());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this._client.retryNow();
    });
    this._route(false);
    void this._poll();
  }

  /** @param {boolean} moved whether the person went there: the focus goes along */
  _route(moved) {
    this._view?.stop();
    const match = /^#\/stream\/(.+)$/.exec(location.hash);
    if (match) {
      const name = decoded(match[1]);
      const publisher = this._publisher?.name === name ? this._publisher : null;
      const view = new StreamView(this._client, name, {
        publisher,
        onEvent: (event) => this._alerts.take(event),
        speak: (words) => setText(byId("spoken"), words),
      });
      this._show(view, moved);
      view.start();
    } else {
      this._show(new HomeView(this._client, (kind) => this._publish(kind)), moved);
      this._client.retryNow();
    }
    this._sharing();
    this._alerts.placed();
  }

  /**
   * @param {HomeView | StreamView} view
   * @param {boolean} moved
   */
  _show(view, moved) {
    this._view = view;
    byId("main").replaceChildren(view.element);
    document.title = view.title;
    if (!moved) return;
    scrollTo(0, 0);
    view.element.querySelector("h1")?.focus({ preventScroll: true });
  }

  /** @param {"camera" | "call"} kind */
  async _publish(kind) {
    const media = kind === "camera" ? await openCamera() : await openShare();
    this._publisher?.stop();
    const publisher = new Publisher(this._client, freshName(kind), media, kind);
    this._publisher = publisher;
    publisher.addEventListener("change", () => this._sharing());
    void publisher.run();
    location.hash = `#/stream/${encodeURIComponent(publisher.name)}`;
  }

  /** While this page sends something, every view says so and can end it. */
  _sharing() {
    const publisher = this._publisher;
    const place = byId("sharing");
    const href = publisher ? `#/stream/${encodeURIComponent(publisher.name)}` : "";
    if (!publisher || ["ended", "failed"].includes(publisher.phase) || location.hash === href) {
      place.replaceChildren();
      return;
    }
    place.replaceChildren(
      h("a", { href }, publisher.kind === "camera" ? "Your camera is on" : "Your call is shared"),
      h("button", { type: "button", class: "quiet", onclick: () => publisher.stop() }, "Stop"),
    );
  }

  /** Streams for the wall and alerts of all of them, as long as the page is open. */
  async _poll() {
    const forever = new AbortController().signal;
    let newest = "";
    for (;;) {
      try {
        const [streams, events] = await Promise.all([
          this._view instanceof HomeView ? this._client.streams() : null,
          this._client.events(newest ? { since: newest, limit: "50" } : { limit: "1" }).catch(nothingForbidden),
        ]);
        this._alerts.begin(events[0]?.id ?? "");
        newest = events[0]?.at ?? newest;
        for (const event of events.reverse()) this._alerts.take(event);
        if (streams && this._view instanceof HomeView) this._view.show(streams);
        this._view?.allow(await this._client.scopes());
        this._denied(null);
      } catch (error) {
        const trouble = asTrouble(error);
        if (trouble.status) this._denied(trouble);
      }
      await sleep(document.hidden ? POLL_HIDDEN : POLL, forever, this._client);
    }
  }

  _gone() {
    const retry = h("button", { type: "button", onclick: () => this._client.retryNow() }, "Try now");
    const trouble = new Trouble(
      "The streamguard server does not answer.",
      "Check that it is running and that you are online; this page tries again by itself.",
    );
    byId("notice").replaceChildren(troubleBox(trouble, retry));
  }

  /** @param {Trouble | null} trouble */
  _denied(trouble) {
    const said = trouble ? `${trouble.status} ${trouble.title}` : "";
    if (said === this._said) return;
    this._said = said;
    if (!trouble) byId("notice").replaceChildren();
    else {
      const label = trouble.status === 401 ? "Enter a token" : "Try again";
      const retry = h("button", { type: "button", onclick: () => this._client.retryNow() }, label);
      byId("notice").replaceChildren(troubleBox(trouble, retry));
    }
  }
}

/**
 * A token that only publishes may not see the events of others; those of its own stream come with the stream.
 *
 * @param {unknown} error
 * @returns {import("./api/types.js").StreamEvent[]}
 */
function nothingForbidden(error) {
  if (asTrouble(error).status === 403) return [];
  throw error;
}

/**
 * @param {string} part of the address
 * @returns {string}
 */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

new App().start();
