import { asTrouble } from "../api/trouble.js";
import { t } from "../language/language.js";
import { h, setText, TYPED } from "./dom.js";

/**
 * Asks for an access token, until it is known or the person gives up.
 *
 * @param {boolean} wrong whether one was given that the server does not know
 * @param {(token: string) => Promise<boolean>} known whether the server knows it; throws Trouble
 * @returns {Promise<string | null>} null when the person closes the dialog
 */
export function askToken(wrong, known) {
  return new Promise((resolve) => {
    const unknown = t("That token is not known here.");
    const input = h("input", {
      ...TYPED,
      id: "token",
      type: "password",
      required: true,
      autofocus: true,
      "aria-describedby": "token-why",
    });
    const said = h("strong", { class: "token-said", role: "alert" }, wrong && unknown);
    const submit = h("button", { class: "primary", type: "submit" }, t("Continue"));
    const form = h(
      "form",
      {},
      h("h2", { id: "token-title" }, t("Access token")),
      h(
        "p",
        { id: "token-why" },
        t("This server asks for one. Its operator gives it to you; this browser tab forgets it when it is closed."),
      ),
      h("label", { for: "token" }, t("Token")),
      input,
      said,
      h(
        "div",
        { class: "buttons" },
        submit,
        h("button", { type: "button", onclick: () => dialog.close() }, t("Not now")),
      ),
    );
    const dialog = h("dialog", { class: "dialog", "aria-labelledby": "token-title" }, form);
    let token = "";
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const tried = input.value.trim();
      submit.disabled = true;
      setText(said, "");
      try {
        if (await known(tried)) {
          token = tried;
          dialog.close();
        } else {
          setText(said, unknown);
          input.select();
        }
      } catch (error) {
        setText(said, asTrouble(error).title);
      } finally {
        submit.disabled = false;
      }
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(token || null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
