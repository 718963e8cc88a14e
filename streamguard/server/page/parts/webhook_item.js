import { sleep } from "../api/backoff.js";
import { asTrouble } from "../api/trouble.js";
import { N, t } from "../language/language.js";
import { h } from "./dom.js";
import { ask, entry } from "./form_dialog.js";
import { troubleBox } from "./notice.js";
import { editRule } from "./rule_dialog.js";
import { showSecret } from "./secret_dialog.js";
import { moment } from "./wording.js";

/** @import { Webhooks } from "../api/webhooks.js" */
/** @import { Delivery, Rule, Webhook } from "../api/types.js" */

const LOOKS = 10;
const PAUSE = 1;
const [MINUTE, HOUR] = [60_000, 3_600_000];
const STATUS = { active: N("active"), paused: N("paused, alerts are kept"), disabled: N("switched off") };
const OUTCOME = { pending: N("waits"), delivered: N("delivered"), dead: N("given up"), cancelled: N("cancelled") };

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
    this._log = h("ul", { class: "deliveries", "aria-label": t("Last deliveries") });
    const paused = webhook.status !== "active";
    const name = webhook.name || webhook.url;
    this.element = h(
      "li",
      { class: "webhook", "aria-label": name },
      h("h3", {}, name),
      h("p", { class: "webhook-url" }, webhook.url),
      h("p", { class: "webhook-state" }, t(STATUS[webhook.status]), webhook.reason && `: ${webhook.reason}`),
      h(
        "div",
        { class: "webhook-tools" },
        this._button(t("Send a test"), () => this._test()),
        this._button(paused ? t("Resume") : t("Pause"), () => this._tell(paused ? "resume" : "pause")),
        this._button(t("Events sent"), () => this._rule()),
        this._button(t("New secret"), () => this._rotate()),
        this._button(t("Last deliveries"), async () => void (await this._show())),
        this._button(t("Send again"), () => this._replayRange()),
        this._button(t("Delete"), () => this._remove()),
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

  async _test() {
    await this._webhooks.tell(this._webhook.id, "test");
    await this._watch((shown) => shown[0]);
  }

  /**
   * Looks what comes of a message, for some seconds.
   *
   * @param {(shown: Delivery[]) => Delivery | undefined} which newest first
   */
  async _watch(which) {
    for (let look = 0; look < LOOKS && !this._ended.signal.aborted; look += 1) {
      const found = which(await this._show());
      if (found && (found.status !== "pending" || found.attempts > 0)) return;
      await sleep(PAUSE, this._ended.signal);
    }
  }

  /** @param {"pause" | "resume"} action */
  async _tell(action) {
    await this._webhooks.tell(this._webhook.id, action);
    this._changed();
  }

  async _remove() {
    const question = t("Delete the webhook to {url}? Messages that wait to be sent are dropped.", { url: this._webhook.url });
    const work = () => this._webhooks.remove(this._webhook.id);
    const content = [h("p", {}, question)];
    if (await ask({ title: t("Delete the webhook"), content, act: t("Delete"), leave: t("Keep it"), work })) this._changed();
  }

  async _rule() {
    const save = (/** @type {Rule} */ rule) => this._webhooks.changeRule(this._webhook.id, rule);
    if (await editRule(this._webhook.rule, save)) this._changed();
  }

  async _rotate() {
    const hours = entry(t("Hours that the old one stays valid"), {
      type: "number",
      min: "0",
      max: "720",
      value: "24",
      step: "any",
    });
    const why = h("p", {}, t("The receiver has this long to learn the new secret; both sign until then."));
    let secret = "";
    const work = async () => {
      secret = await this._webhooks.rotate(this._webhook.id, (hours.input.valueAsNumber || 0) * 3600);
    };
    const done = await ask({ title: t("A new secret"), content: [why, hours.element], act: t("Create"), work });
    if (done) showSecret(secret);
  }

  async _replayRange() {
    const now = Date.now();
    const since = entry(t("From"), { type: "datetime-local", step: "1", required: true, value: local(now - HOUR) });
    const until = entry(t("Until"), { type: "datetime-local", step: "1", required: true, value: local(now + MINUTE) });
    const why = h("p", {}, t("The messages of this time are sent again, each with its old id."));
    let count = 0;
    const work = async () => {
      const [from, to] = [since, until].map(({ input }) => new Date(input.value));
      count = await this._webhooks.replayRange(this._webhook.id, from ?? new Date(), to ?? new Date());
    };
    const content = [why, since.element, until.element];
    if (!(await ask({ title: t("Send again"), content, act: t("Send again"), work }))) return;
    this._said.replaceChildren(
      h("p", { class: "none" }, t("{count} messages are sent.", { count })),
    );
    await this._watch((shown) => shown.find((one) => one.status === "pending") ?? shown[0]);
  }

  /** @param {Delivery} delivery */
  async _replay({ id }) {
    await this._webhooks.replay(this._webhook.id, id);
    await this._watch((shown) => shown.find((one) => one.id === id));
  }

  /** @returns {Promise<Delivery[]>} newest first */
  async _show() {
    const found = await this._webhooks.deliveries(this._webhook.id);
    const rows = found.map((one) => {
      const again = this._button(one.status === "pending" ? t("Try now") : t("Send again"), () => this._replay(one));
      again.setAttribute("aria-label", `${again.textContent}: ${one.kind}, ${moment(one.at)}`);
      return h(
        "li",
        {},
        h("time", { datetime: one.at }, moment(one.at)),
        h("span", {}, one.kind),
        h("strong", {}, one.status === "pending" && one.attempts ? t("failed, is tried again") : t(OUTCOME[one.status])),
        h("span", { class: "delivery-answer" }, [one.code, one.answer].filter(Boolean).join(" ")),
        again,
      );
    });
    if (!rows.length) rows.push(h("li", {}, t("Nothing was sent yet.")));
    this._log.replaceChildren(...rows);
    return found;
  }
}

/**
 * @param {number} time milliseconds since 1970
 * @returns {string} as an input of local time has it
 */
function local(time) {
  return new Date(time - new Date(time).getTimezoneOffset() * MINUTE).toISOString().slice(0, 19);
}
