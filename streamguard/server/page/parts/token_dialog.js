import { h } from "./dom.js";

/**
 * Asks for an access token.
 *
 * @param {boolean} wrong whether one was given that the server does not know
 * @returns {Promise<string | null>} null when the person closes the dialog
 */
export function askToken(wrong) {
  return new Promise((resolve) => {
    const input = h("input", {
      id: "token",
      type: "password",
      autocomplete: "off",
      spellcheck: "false",
      required: true,
      autofocus: true,
      "aria-describedby": "token-why",
    });
    const form = h(
      "form",
      { method: "dialog" },
      h("h2", { id: "token-title" }, "Access token"),
      h(
        "p",
        { id: "token-why" },
        wrong ? h("strong", {}, "The server does not know that token. ") : "This server asks for one. ",
        "Whoever runs it gives it to you; this browser tab forgets it when it is closed.",
      ),
      h("label", { for: "token" }, "Token"),
      input,
      h(
        "div",
        { class: "buttons" },
        h("button", { class: "primary", type: "submit" }, "Continue"),
        h("button", { type: "button", onclick: () => dialog.close() }, "Not now"),
      ),
    );
    const dialog = h("dialog", { class: "dialog", "aria-labelledby": "token-title" }, form);
    let token = "";
    form.addEventListener("submit", () => {
      token = input.value.trim();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(token || null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
