import { sleep } from "./api/backoff.js";
import { Client } from "./api/client.js";
import { Pulse } from "./api/pulse.js";
import { asTrouble, Trouble } from "./api/trouble.js";
import { Guard } from "./guard/guard.js";
import { GuardPanel } from "./guard/guard_panel.js";
import { Notifier } from "./guard/notifier.js";
import { SmallWindow } from "./guard/small_window.js";
import { begin, t } from "./language/language.js";
import { LanguageSwitch } from "./language/language_switch.js";
import { AlertBanner } from "./parts/banner.js";
import { Chime } from "./parts/chime.js";
import { byId, h, setText } from "./parts/dom.js";
import { troubleBox } from "./parts/notice.js";
import { askToken } from "./parts/token_dialog.js";
import { CheckView } from "./views/check.js";
import { HistoryView } from "./views/history.js";
import { HomeView } from "./views/home.js";
import { CleanView } from "./views/clean.js";
import { IncidentView } from "./views/incident.js";
import { StreamView } from "./views/stream_view.js";
import { openCamera, openShare } from "./webrtc/capture.js";
import { freshName, Publisher } from "./webrtc/whip.js";

/** @import { StreamEvent } from "./api/types.js" */
/** @typedef {CleanView | HomeView | StreamView | HistoryView | IncidentView | CheckView} View */

const POLL = 2;
const POLL_HIDDEN = 4;
const UNGUARDED = 5_000;

/** The whole page: which view is shown, what this page sends, and the alerts of all streams. */
class App {
  constructor() {
    this._client = new Client(askToken);
    this._chime = new Chime();
    this._notifier = new Notifier();
    this._alerts = new AlertBanner(byId("alerts"), (event, title) => this._warn(event, title));
    /** @type {Guard | null} */
    this._guard = null;
    /** @type {SmallWindow | null} */
    this._small = null;
    /** @type {GuardPanel | null} */
    this._panel = null;
    /** @type {View | null} */
    this._view = null;
    /** @type {Trouble | null} */
    this._trouble = null;
    /** What other programs show of it: no more than a stream's picture. */
    this._clean = new URLSearchParams(location.search).get("clean");
  }

  start() {
    document.documentElement.toggleAttribute("data-clean", Boolean(this._clean));
    new LanguageSwitch(byId("language"), () => this._relabel()).start();
    new Pulse(this._client).start();
    this._client.addEventListener("gone", () => this._reached());
    this._client.addEventListener("back", () => this._reached());
    addEventListener("hashchange", () => this._route(true));
    addEventListener("online", () => this._client.retryNow());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this._client.retryNow();
    });
    this._relabel();
    void this._poll();
  }

  /** Everything is said anew, in the language chosen. */
  _relabel() {
    byId("sound").replaceChildren(this._chime.toggle());
    this._notice();
    this._route(false);
  }

  /** @param {boolean} moved whether the person went there: the focus goes along */
  _route(moved) {
    this._view?.stop();
    this._panel?.stop();
    this._panel = null;
    const [, kind, rest = ""] = /^#\/(stream\/|incident\/|history|check)(.*)$/.exec(location.hash) ?? [];
    this._placed(kind);
    if (kind === "history") this._begin(new HistoryView(this._client, new URLSearchParams(rest)), moved);
    else if (kind === "check") this._begin(new CheckView(this._client, decoded(rest.replace(/^\//, ""))), moved);
    else if (kind === "incident/") this._begin(new IncidentView(this._client, decoded(rest)), moved);
    else if (kind === "stream/" && this._clean) {
      this._begin(new CleanView(this._client, decoded(rest), this._clean === "marks"), moved);
    } else if (kind === "stream/") {
      const name = decoded(rest);
      const guard = this._guard?.name === name ? this._guard : null;
      if (guard && this._small) this._panel = new GuardPanel(this._notifier, this._chime, this._small);
      const view = new StreamView(this._client, name, {
        publisher: guard?.publisher ?? null,
        onEvent: (event) => this._alerts.take(event),
        speak: (words) => setText(byId("spoken"), words),
        panel: this._panel?.element ?? null,
      });
      this._begin(view, moved);
    } else {
      this._show(new HomeView(this._client, (kind) => this._publish(kind)), moved);
      this._client.retryNow();
    }
    this._sharing();
    this._alerts.placed();
  }

  /**
   * @param {CleanView | StreamView | HistoryView | IncidentView | CheckView} view
   * @param {boolean} moved
   */
  _begin(view, moved) {
    this._show(view, moved);
    view.start();
    this._client.retryNow();
  }

  /** @param {string | undefined} kind of the view; its part of the page is marked as where one is */
  _placed(kind) {
    const here = kind === "history" || kind === "incident/" ? "#/history" : "#/";
    for (const link of /** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll(".nav a"))) {
      if (link.hash === here) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  /**
   * @param {View} view
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
    this._guard?.stop();
    this._small?.stop();
    const publisher = new Publisher(this._client, freshName(kind), media, kind);
    const guard = new Guard(this._client, publisher, (event) => this._alerts.take(event));
    this._guard = guard;
    this._small = kind === "call" ? new SmallWindow(this._client, guard) : null;
    let stale = false;
    guard.addEventListener("change", () => {
      this._sharing();
      if (guard.over) this._small?.stop();
      if (Boolean(guard.stale) === stale) return;
      stale = Boolean(guard.stale);
      if (stale && kind === "call") setTimeout(() => this._unguarded(guard), UNGUARDED);
    });
    guard.start();
    location.hash = `#/stream/${encodeURIComponent(publisher.name)}`;
    if (kind === "call") await this._notifier.ask();
  }

  /**
   * Who is in a call has to know when nobody watches it.
   *
   * @param {Guard} guard
   */
  _unguarded(guard) {
    if (!guard.stale || guard.over) return;
    this._notifier.warn(t("Your call is not guarded right now"), {
      body: t("The streamguard server does not answer. This page tries again by itself."),
      tag: `unguarded ${guard.name}`,
      hash: `#/stream/${encodeURIComponent(guard.name)}`,
    });
  }

  /**
   * @param {StreamEvent} event
   * @param {string} title
   */
  _warn(event, title) {
    this._chime.play();
    this._notifier.warn(title, {
      body: t("An automated estimate that may be wrong."),
      tag: event.incident ?? event.id,
      hash: `#/stream/${encodeURIComponent(event.stream)}`,
    });
  }

  /** While this page sends something, every view says so and can end it. */
  _sharing() {
    const guard = this._guard;
    const place = byId("sharing");
    const href = guard ? `#/stream/${encodeURIComponent(guard.name)}` : "";
    if (!guard || guard.over || location.hash === href) {
      place.replaceChildren();
      return;
    }
    const said = guard.publisher.kind === "camera" ? t("Your camera is on") : t("Your call is shared");
    const link = place.querySelector("a");
    if (link?.hash === href && link.textContent === said) return;
    place.replaceChildren(
      h("a", { href }, said),
      h("button", { type: "button", class: "quiet", onclick: () => guard.stop() }, t("Stop")),
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

  /** The server stopped or began again to answer. */
  _reached() {
    const { reachable, heard } = this._client;
    this._view?.stale(reachable ? null : heard);
    this._notice();
    if (reachable) this._client.retryNow();
  }

  /** @param {Trouble | null} trouble */
  _denied(trouble) {
    if (trouble?.status === this._trouble?.status && trouble?.title === this._trouble?.title) return;
    this._trouble = trouble;
    this._notice();
  }

  /** What is amiss with the server, on top of every view. */
  _notice() {
    const trouble = this._client.reachable
      ? this._trouble
      : new Trouble(
          t("The streamguard server does not answer."),
          t("Check that it is running and that you are online; this page tries again by itself."),
        );
    if (!trouble) {
      byId("notice").replaceChildren();
      return;
    }
    const label = this._client.reachable ? (trouble.status === 401 ? t("Enter a token") : t("Try again")) : t("Try now");
    const retry = h("button", { type: "button", onclick: () => this._client.retryNow() }, label);
    byId("notice").replaceChildren(troubleBox(trouble, retry));
  }
}

/**
 * A token that only publishes may not see the events of others; those of its own stream come with the stream.
 *
 * @param {unknown} error
 * @returns {StreamEvent[]}
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

await begin();
new App().start();
