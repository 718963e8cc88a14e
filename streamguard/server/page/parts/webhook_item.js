import { sleep } from "../api/backoff.js";
import { asTrouble } from "../api/trouble.js";
import { h, setText } from "./dom.js";
import { troubleBox } from "./notice.js";

/** @import { Webhooks } from "../api/webhooks.js" */
/** @import { Delivery, Webhook } from "../api/types.js" */

const LOOKS = 10;
const PAUSE = 1;
const STATUS = { active: "active", paused: "paused, alerts are kept", disabled: "switched off" };
const OUTCOME = { pending: "waits", delivered: "delivered", dead: "given up", cancelled: "cancelled" };

/** One webhook: where it goes, how it does, what can be done with it, what was sent last. */
export class WebhookItem {
  /**
   * @param {Webhooks} webhooks
   * @param {Webhook} webhook
   * @param {() => void} changed called when the list is to be read again
   */
  constructor(webhooks, webhook, changed) {
    this._webhooks = webhooks;
    this._webhook = webhook;
    this._changed = changed;
    this._ended = new AbortController();
    this._said = h("div", { class: "said", role: "alert" });
    this._log = h("ul", { class: "deliveries", "aria-label": "Last deliveries" });
    const paused = webhook.status !== "active";
    const name = webhook.name || webhook.url;
    this.element = h(
      "li",
      { class: "webhook", "aria-label": name },
      h("h3", {}, name),
      h("p", { class: "webhook-url" }, webhook.url),
      h("p", { class: "webhook-state" }, STATUS[webhook.status], webhook.reason && `: ${webhook.reason}`),
      h(
        "div",
        { class: "webhook-tools" },
        this._button("Send a test", () => this._test()),
        this._button(paused ? "Resume" : "Pause", () => this._tell(paused ? "resume" : "pause")),
        this._button("Last deliveries", async () => void (await this._show())),
        this._button("Delete", () => this._remove()),
      ),
      this._said,
      this._log,
    );
  }

  /** The list was read again: nothing more is asked for. */
  stop() {
    this._ended.abort();
  }

  /**
   * @param {string} words
   * @param {() => Promise<void>} work
   */
  _button(words, work) {
    const button = h("button", { type: "button", class: "quiet" }, words);
    button.addEventListener("click", async () => {
      this._said.replaceChildren();
      button.disabled = true;
      try {
        await work();
      } catch (error) {
        if (!this._ended.signal.aborted) this._said.replaceChildren(troubleBox(asTrouble(error)));
      } finally {
        button.disabled = false;
      }
    });
    return button;
  }

  /** Sends a test and looks what comes of it, for some seconds. */
  async _test() {
    await this._webhooks.tell(this._webhook.id, "test");
    for (let look = 0; look < LOOKS && !this._ended.signal.aborted; look += 1) {
      const newest = await this._show();
      if (newest && (newest.status !== "pending" || newest.attempts > 0)) return;
      await sleep(PAUSE, this._ended.signal);
    }
  }

  /** @param {"pause" | "resume"} action */
  async _tell(action) {
    await this._webhooks.tell(this._webhook.id, action);
    this._changed();
  }

  async _remove() {
    if (!(await sure(`Delete the webhook to ${this._webhook.url}? What waits to be sent is forgotten.`))) return;
    await this._webhooks.remove(this._webhook.id);
    this._changed();
  }

  /** @returns {Promise<Delivery | undefined>} the newest */
  async _show() {
    const found = await this._webhooks.deliveries(this._webhook.id);
    const rows = found.map((one) =>
      h(
        "li",
        {},
        h("time", { datetime: one.at }, new Date(one.at).toLocaleString()),
        h("span", {}, one.kind),
        h("strong", {}, one.status === "pending" && one.attempts ? "failed, is tried again" : OUTCOME[one.status]),
        h("span", { class: "delivery-answer" }, [one.code, one.answer].filter(Boolean).join(" ")),
      ),
    );
    if (!rows.length) rows.push(h("li", {}, "Nothing was sent yet."));
    this._log.replaceChildren(...rows);
    return found[0];
  }
}

/**
 * @param {string} question
 * @returns {Promise<boolean>}
 */
function sure(question) {
  return new Promise((resolve) => {
    const words = h("p", {});
    setText(words, question);
    const dialog = h(
      "dialog",
      { class: "dialog", "aria-label": "Delete the webhook" },
      h(
        "form",
        { method: "dialog" },
        words,
        h(
          "div",
          { class: "buttons" },
          h("button", { class: "primary", type: "submit", value: "yes" }, "Delete"),
          h("button", { type: "submit", value: "" }, "Keep it"),
        ),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
