import { sentence } from "../api/sentence.js";
import { N, t } from "../language/language.js";
import { h, setText } from "./dom.js";
import { amount } from "./wording.js";

/** @import { Output } from "../api/types.js" */

const LATE = 5;

/** Where the stream is sent on to, each with its state and figures. Not there for a stream that is not sent on. */
export class OutputList {
  constructor() {
    this._list = h("ul", { class: "outputs" });
    this._count = h("span", { class: "count" });
    this.element = h(
      "section",
      { class: "panel", "aria-labelledby": "outputs-title", hidden: true },
      h("div", { class: "panel-head" }, h("h2", { id: "outputs-title" }, t("Sent on")), this._count),
      this._list,
    );
    /** @type {Row[]} */
    this._rows = [];
  }

  /** @param {Output[]} outputs in a lasting order */
  show(outputs) {
    this.element.hidden = !outputs.length;
    while (this._rows.length > outputs.length) this._rows.pop()?.element.remove();
    for (const [index, output] of outputs.entries()) {
      let row = this._rows[index];
      if (!row) {
        row = new Row();
        this._rows.push(row);
        this._list.append(row.element);
      }
      row.show(output);
    }
    const up = outputs.filter((output) => output.up).length;
    setText(this._count, t("{up} of {all} up", { up, all: outputs.length }));
  }
}

/** One output. */
class Row {
  constructor() {
    this._target = h("h3", { class: "output-target" });
    this._state = h("span", { class: "output-state" });
    this._figures = h("p", { class: "why" });
    this._why = h("p", { class: "why" });
    this.element = h(
      "li",
      { class: "output" },
      h("div", { class: "output-head" }, this._target, this._state),
      this._figures,
      this._why,
    );
  }

  /** @param {Output} output */
  show(output) {
    const [level, word] = judge(output);
    this.element.dataset.level = level;
    setText(this._target, output.target);
    setText(this._state, word);
    const figures = [
      t("{count} pictures", { count: output.pictures }),
      output.dropped && t("{count} lost", { count: output.dropped }),
      output.reconnects && t("{count} reconnects", { count: output.reconnects }),
      output.lag_seconds > LATE && amount(output.lag_seconds, N("{value} s behind"), 1),
    ];
    setText(this._figures, figures.filter(Boolean).join(", "));
    const why = output.detail.startsWith(`${output.target}: `)
      ? output.detail.slice(output.target.length + 2)
      : output.detail;
    setText(this._why, why ? sentence(why) : "");
    this._why.hidden = !why;
  }
}

/**
 * @param {Output} output
 * @returns {["good" | "fair" | "poor", string]}
 */
function judge(output) {
  if (output.up) return output.lag_seconds > LATE ? ["fair", t("Slow")] : ["good", t("Up")];
  return output.failures ? ["poor", t("Down, trying again")] : ["fair", t("Waiting")];
}
