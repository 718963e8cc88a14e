import { Trouble } from "../api/trouble.js";
import { N, t } from "../language/language.js";
import { h, TYPED } from "./dom.js";
import { ask, entry } from "./form_dialog.js";

/** @import { EventKind, QuietHours, Rule } from "../api/types.js" */

/** @type {[EventKind, string][]} */
const KINDS = [
  ["fake.opened", N("A fake begins")],
  ["fake.updated", N("A fake goes on")],
  ["fake.closed", N("A fake ends")],
  ["stream.up", N("A stream comes up")],
  ["stream.down", N("A stream is lost")],
  ["stream.degraded", N("Judging fails")],
];

/**
 * @typedef {"least_score" | "least_share" | "for_seconds" | "within_seconds" | "hold_seconds" | "cool_down_seconds" |
 *   "update_seconds" | "flap_count" | "flap_seconds"} Figure
 */

const DAY = 86_400;
/** @type {[Figure, string, number, number, string, string?][]} name, label, least, most, step, hint */
const FIGURES = [
  ["least_score", N("Least score"), 0, 1, "any", N("0 to 1; a face below it does not count as fake.")],
  ["least_share", N("Least share of fake frames"), 0, 1, "any", N("0 to 1.")],
  ["for_seconds", N("Called fake, seconds"), 0, DAY, "any", N("How long a face must be called fake …")],
  ["within_seconds", N("… of the last seconds"), 0, DAY, "any"],
  ["hold_seconds", N("Shortest alert, seconds"), 0, DAY, "any", N("At the least.")],
  ["cool_down_seconds", N("Quiet after an alert, seconds"), 0, DAY, "any", N("For the same face.")],
  ["update_seconds", N("Seconds between updates"), 60, DAY, "any"],
  ["flap_count", N("Flapping: so many alerts"), 2, 100, "1", N("A face whose alert comes and goes is reported once …")],
  ["flap_seconds", N("… in so many seconds"), 0, DAY, "any"],
];
const PERIOD = /^(?:([a-z]{3}(?:,[a-z]{3})*) +)?(\d\d:\d\d) *[-–] *(\d\d:\d\d)(?: +(\S+))?$/i;
const EXAMPLE = "mon,tue 22:00-06:00 Europe/Warsaw";
const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/**
 * Changes what a webhook is told.
 *
 * @param {Rule} rule
 * @param {(rule: Rule) => Promise<void>} save
 * @returns {Promise<boolean>} whether it was changed
 */
export function editRule(rule, save) {
  const streams = entry(
    t("Streams"),
    { value: rule.streams.join(", "), required: true },
    t("Names, with * and ? as wildcards, separated by commas."),
  );
  const boxes = KINDS.map(([kind, words]) => {
    const box = h("input", { type: "checkbox", value: kind, checked: rule.kinds.includes(kind) });
    return { kind, box, element: h("label", { class: "tick" }, box, t(words)) };
  });
  const figures = FIGURES.map(([name, label, min, max, step, hint]) => {
    const attributes = { type: "number", min: `${min}`, max: `${max}`, step, value: `${rule[name]}`, required: true };
    return { name, ...entry(t(label), attributes, hint && t(hint)) };
  });
  const quiet = h("textarea", { ...TYPED, id: "quiet-hours", rows: "3", "aria-describedby": "quiet-hint" });
  quiet.value = rule.quiet.map(periodWords).join("\n");
  const content = [
    streams.element,
    h("fieldset", { class: "ticks" }, h("legend", {}, t("Events sent")), ...boxes.map(({ element }) => element)),
    ...figures.map(({ element }) => element),
    h(
      "div",
      { class: "entry" },
      h("label", { for: "quiet-hours" }, t("Quiet hours")),
      quiet,
      h("p", { class: "hint", id: "quiet-hint" }, t("One period a line: {example}", { example: EXAMPLE })),
    ),
  ];
  const work = () => {
    const told = Object.fromEntries(figures.map(({ name, input }) => [name, input.valueAsNumber]));
    const lines = quiet.value.split("\n").map((line) => line.trim());
    return save({
      ...rule,
      ...told,
      streams: streams.input.value.split(",").flatMap((name) => name.trim() || []),
      kinds: boxes.filter(({ box }) => box.checked).map(({ kind }) => kind),
      quiet: lines.filter(Boolean).map(periodOf),
    });
  };
  return ask({ title: t("Events that the webhook gets"), content, act: t("Save"), work });
}

/**
 * @param {QuietHours} period
 * @returns {string}
 */
function periodWords({ days, start, end, zone }) {
  const some = days.length < DAYS.length ? `${days.join(",")} ` : "";
  return `${some}${start}-${end} ${zone}`;
}

/**
 * @param {string} line
 * @returns {QuietHours}
 */
function periodOf(line) {
  const found = PERIOD.exec(line);
  if (!found)
    throw new Trouble(t("These are no quiet hours: {line}", { line }), t("Write them like {example}.", { example: EXAMPLE }));
  const days = found[1]?.toLowerCase().split(",") ?? DAYS;
  return { days, start: found[2] ?? "", end: found[3] ?? "", zone: found[4] ?? "UTC" };
}
