import { t } from "../language/language.js";
import { h } from "./dom.js";

/**
 * Shows a webhook's secret, once.
 *
 * @param {string} secret
 */
export function showSecret(secret) {
  const shown = h("input", {
    id: "secret",
    value: secret,
    readonly: true,
    autocomplete: "off",
    spellcheck: "false",
    "aria-describedby": "secret-why",
  });
  shown.addEventListener("focus", () => shown.select());
  const dialog = h(
    "dialog",
    { class: "dialog", "aria-labelledby": "secret-title" },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: "secret-title" }, t("The webhook's secret")),
      h(
        "p",
        { id: "secret-why" },
        t("Copy it to the receiver, which verifies every message with it. It is not shown again."),
      ),
      h("label", { for: "secret" }, t("Secret")),
      shown,
      h("div", { class: "buttons" }, h("button", { class: "primary", type: "submit" }, t("I have copied it"))),
    ),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  shown.focus();
}
