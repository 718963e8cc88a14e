import { asTrouble } from "../api/trouble.js";
import { t } from "../language/language.js";
import { h, TYPED } from "./dom.js";
import { troubleBox } from "./notice.js";

/**
 * Asks for something and does it; what is refused is told in the dialog, which stays.
 *
 * @param {object} wanted
 * @param {string} wanted.title
 * @param {HTMLElement[]} wanted.content what stands between the title and the buttons
 * @param {string} wanted.act what the button says
 * @param {() => Promise<void>} wanted.work done on the button
 * @param {string} [wanted.leave] what the other button says
 * @returns {Promise<boolean>} whether it was done
 */
export function ask({ title, content, act, work, leave = t("Cancel") }) {
  return new Promise((resolve) => {
    const said = h("div", { class: "said", role: "alert" });
    const submit = h("button", { class: "primary", type: "submit" }, act);
    const form = h(
      "form",
      {},
      h("h2", {}, title),
      ...content,
      said,
      h("div", { class: "buttons" }, submit, h("button", { type: "button", onclick: () => dialog.close() }, leave)),
    );
    const dialog = h("dialog", { class: "dialog", "aria-label": title }, form);
    let done = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      said.replaceChildren();
      submit.disabled = true;
      try {
        await work();
        done = true;
        dialog.close();
      } catch (error) {
        said.replaceChildren(troubleBox(asTrouble(error)));
      } finally {
        submit.disabled = false;
      }
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(done);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

let count = 0;

/**
 * A labelled input.
 *
 * @param {string} label
 * @param {Record<string, string | boolean>} attributes of the input
 * @param {string} [hint]
 */
export function entry(label, attributes, hint) {
  count += 1;
  const id = `entry-${count}`;
  /** @type {Record<string, string | boolean>} */
  const all = { id, ...TYPED, ...attributes };
  if (hint) all["aria-describedby"] = `${id}-hint`;
  const input = h("input", all);
  const words = hint && h("p", { class: "hint", id: `${id}-hint` }, hint);
  return { input, element: h("div", { class: "entry" }, h("label", { for: id }, label), input, words) };
}
