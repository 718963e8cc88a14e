import { asTrouble } from "../api/trouble.js";
import { Webhooks } from "../api/webhooks.js";
import { t } from "../language/language.js";
import { h, TYPED } from "../parts/dom.js";
import { troubleBox } from "../parts/notice.js";
import { showSecret } from "../parts/secret_dialog.js";
import { WebhookItem } from "../parts/webhook_item.js";

/** @import { Client } from "../api/client.js" */

/** Who is told of alerts. Nothing is asked of the server before it is unfolded: only some may see it. */
export class WebhooksSection {
  /** @param {Client} client */
  constructor(client) {
    this._webhooks = new Webhooks(client);
    /** @type {WebhookItem[]} */
    this._items = [];
    this._said = h("div", { class: "said", role: "alert" });
    this._none = h("p", { class: "none", hidden: true }, t("Nobody is notified yet."));
    this._list = h("ul", { class: "webhook-list", "aria-label": t("Webhooks") });
    this.element = h(
      "details",
      { class: "webhooks" },
      h("summary", {}, h("h2", {}, t("Webhooks"))),
      h("p", { class: "none" }, t("A receiver that you name gets a signed message for every fake.")),
      this._form(),
      this._said,
      this._none,
      this._list,
    );
    this.element.addEventListener("toggle", () => {
      if (this.element.open) void this._load();
    });
  }

  stop() {
    for (const item of this._items) item.stop();
  }

  async _load() {
    try {
      const found = await this._webhooks.list();
      this.stop();
      this._items = found.map((one) => new WebhookItem(this._webhooks, one, () => void this._load()));
      this._list.replaceChildren(...this._items.map(({ element }) => element));
      this._none.hidden = found.length > 0;
      this._said.replaceChildren();
    } catch (error) {
      this._said.replaceChildren(troubleBox(asTrouble(error)));
    }
  }

  _form() {
    const url = field("webhook-url", t("Receiver"), t("https address"), { inputmode: "url", required: true });
    const name = field("webhook-name", t("Name"), t("control room"), {});
    const button = h("button", { type: "submit" }, t("Add a webhook"));
    const form = h("form", { class: "feed" }, url.element, name.element, button);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      button.disabled = true;
      try {
        const wanted = { url: url.input.value.trim(), name: name.input.value.trim() };
        const { secret } = await this._webhooks.add(wanted);
        form.reset();
        showSecret(secret);
        await this._load();
      } catch (error) {
        this._said.replaceChildren(troubleBox(asTrouble(error)));
      } finally {
        button.disabled = false;
      }
    });
    return form;
  }
}

/**
 * @param {string} id
 * @param {string} label
 * @param {string} placeholder
 * @param {Record<string, string | boolean>} more
 */
function field(id, label, placeholder, more) {
  const input = h("input", { id, placeholder, ...TYPED, ...more });
  return { input, element: h("div", { class: "field" }, h("label", { for: id }, label), input) };
}
