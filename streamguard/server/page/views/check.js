import { sleep } from "../api/backoff.js";
import { Checks } from "../api/checks.js";
import { asTrouble, isAbort, Trouble } from "../api/trouble.js";
import { h, setText } from "../parts/dom.js";
import { troubleBox } from "../parts/notice.js";
import { CheckResult } from "../parts/check_result.js";
import { WORDS } from "../parts/check_words.js";
import { percent } from "../parts/wording.js";

/** @import { Client } from "../api/client.js" */
/** @import { Check, Scope } from "../api/types.js" */

const POLL = 0.4;

/** One file: chosen, sent, judged, and what is said of it. */
export class CheckView {
  /**
   * @param {Client} client
   * @param {string} id of a check that was begun; empty to begin one
   */
  constructor(client, id) {
    this.title = `${WORDS.title} – streamguard`;
    this._client = client;
    this._checks = new Checks(client);
    this._id = id;
    this._ended = new AbortController();
    /** @type {AbortController | null} */
    this._sending = null;
    this._said = h("div", { class: "said", role: "alert" });
    this._place = h("div", { class: "check-place" });
    this._picker = this._makePicker();
    this._bar = h("progress", { max: "1", "aria-labelledby": "check-phase" });
    this._phase = h("h2", { id: "check-phase", role: "status" });
    this._share = h("output", { class: "check-share", "aria-live": "off" });
    this._more = h("p", { class: "check-more" });
    this._name = h("p", { class: "check-name" });
    this._giveUp = h("button", { type: "button", onclick: () => void this._remove("") }, WORDS.giveUp);
    this._progress = h(
      "section",
      { class: "panel check-progress" },
      this._name,
      h("div", { class: "panel-head" }, this._phase, this._share),
      this._bar,
      this._more,
      this._giveUp,
    );
    this.element = h(
      "div",
      { class: "check" },
      h("h1", { tabindex: "-1" }, WORDS.title),
      h("p", { class: "lead" }, WORDS.lead),
      this._said,
      this._place,
    );
  }

  start() {
    if (this._id) void this._follow(this._id);
    else this._place.replaceChildren(this._picker);
    // A file that misses the place must not take the page away.
    for (const kind of ["dragover", "drop"]) {
      addEventListener(kind, (event) => event.preventDefault(), { signal: this._ended.signal });
    }
  }

  stop() {
    this._ended.abort();
    this._sending?.abort();
  }

  /** @param {Date | null} _since what is shown is of a file, and stays right when the server does not answer */
  stale(_since) {}

  /** @param {Scope[]} scopes what the token opens */
  allow(scopes) {
    const allowed = scopes.includes("publish") || scopes.includes("admin");
    const input = this._picker.querySelector("input");
    if (input) input.disabled = !allowed;
    const lacks = this._picker.querySelector(".lacks");
    if (lacks) setText(lacks, allowed ? "" : WORDS.lacks);
  }

  _makePicker() {
    const input = h("input", {
      type: "file",
      id: "check-file",
      class: "unseen",
      accept: "video/*,image/jpeg,image/png,image/webp,.mkv,.ts",
      "aria-describedby": "check-kinds",
    });
    input.addEventListener("change", () => {
      if (input.files?.[0]) void this._send(input.files[0]);
      input.value = "";
    });
    const drop = h(
      "div",
      { class: "drop" },
      input,
      h("label", { for: "check-file", class: "button primary" }, WORDS.choose),
      h("span", { class: "drop-or" }, WORDS.drop),
      h("p", { id: "check-kinds", class: "hint" }, WORDS.kinds),
      h("p", { class: "lacks" }),
    );
    drop.addEventListener("dragover", () => (drop.dataset.over = "yes"));
    drop.addEventListener("dragleave", () => delete drop.dataset.over);
    drop.addEventListener("drop", (event) => {
      delete drop.dataset.over;
      const file = event.dataTransfer?.files[0];
      if (file && !input.disabled) void this._send(file);
    });
    return drop;
  }

  /** @param {File} file */
  async _send(file) {
    this._said.replaceChildren();
    this._sending = new AbortController();
    this._tell(WORDS.sending, file.name, 0);
    this._place.replaceChildren(this._progress);
    this._giveUp.focus({ preventScroll: true });
    try {
      const check = await this._checks.send(file, (share) => this._tell(WORDS.sending, file.name, share), this._sending.signal);
      if (this._sending.signal.aborted) {
        await this._checks.remove(check.id);
        return;
      }
      this._sending = null;
      // So that the result is found again when the page is loaded anew, or the link is kept.
      history.replaceState(null, "", `#/check/${encodeURIComponent(check.id)}`);
      await this._follow(check.id, check);
    } catch (error) {
      this._begin(asTrouble(error));
    }
  }

  /**
   * @param {string} id
   * @param {Check} [known] how it is now
   */
  async _follow(id, known) {
    this._id = id;
    const signal = this._ended.signal;
    let check = known;
    while (!signal.aborted && this._id === id) {
      try {
        check ??= await this._checks.get(id, signal);
        if (this._shown(check)) return;
      } catch (error) {
        if (isAbort(error)) return;
        const trouble = asTrouble(error);
        if (trouble.status) {
          if (this._id === id) this._begin(trouble);
          return;
        }
        // No answer: the page says so above, and this goes on when there is one.
      }
      check = undefined;
      await sleep(POLL, signal, this._client);
    }
  }

  /**
   * @param {Check} check
   * @returns {boolean} whether it has ended
   */
  _shown(check) {
    if (check.state === "failed") {
      void this._checks.remove(check.id).catch(() => {});
      this._begin(new Trouble(`${check.name}: ${check.problem?.detail ?? ""}`, check.problem?.remedy ?? ""));
      return true;
    }
    if (check.state === "done" && check.result) {
      const result = new CheckResult(check, () => void this._remove(WORDS.removed), () => this._begin());
      this._place.replaceChildren(result.element);
      result.heading.focus({ preventScroll: true });
      return true;
    }
    if (check.state === "running") this._tell(WORDS.judging, check.name, check.progress);
    else this._tell(WORDS.waiting, check.name, null, check.ahead ? WORDS.ahead(check.ahead) : "");
    if (!this._progress.isConnected) this._place.replaceChildren(this._progress);
    return false;
  }

  /**
   * @param {string} phase
   * @param {string} name
   * @param {number | null} share 0..1; null where nobody knows
   * @param {string} [more]
   */
  _tell(phase, name, share, more = "") {
    setText(this._phase, phase);
    setText(this._name, name);
    setText(this._share, share === null ? "" : percent(Math.floor(share * 100) / 100));
    setText(this._more, more);
    if (share === null) this._bar.removeAttribute("value");
    else this._bar.value = share;
  }

  /**
   * The place to choose a file, again.
   *
   * @param {Trouble} [trouble] why
   */
  _begin(trouble) {
    this._id = "";
    this._sending?.abort();
    this._sending = null;
    if (this._ended.signal.aborted) return;
    history.replaceState(null, "", "#/check");
    this._said.replaceChildren(...(trouble ? [troubleBox(trouble)] : []));
    this._place.replaceChildren(this._picker);
    this._picker.querySelector("input")?.focus({ preventScroll: true });
  }

  /** @param {string} said once it is done */
  async _remove(said) {
    const id = this._id;
    this._begin();
    try {
      if (id) await this._checks.remove(id);
      if (said) this._said.replaceChildren(h("p", { class: "none" }, said));
    } catch (error) {
      this._said.replaceChildren(troubleBox(asTrouble(error)));
    }
  }
}
