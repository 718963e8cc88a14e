import { remember, remembered } from "../parts/memory.js";

/** Every language that there is a catalogue of, by the name that its speakers give it. @type {Record<string, string>} */
export const LANGUAGES = { en: "English", de: "Deutsch", fr: "Français", es: "Español", uk: "Українська" };

const KEPT = "language";
const SOURCE = "en";

/** @typedef {string | Record<string, string>} Entry a text, or one for each plural category */
/** @typedef {{language: string, entries: Record<string, Entry>, plurals: Intl.PluralRules}} Catalogue */

/** @type {Catalogue} */
let english = { language: SOURCE, entries: {}, plurals: new Intl.PluralRules(SOURCE) };
let spoken = english;

/** @returns {string} the language that is shown, such as "de" */
export function language() {
  return spoken.language;
}

/** @returns {string} for Intl: the person's own form of the language, where the browser names one */
export function locale() {
  return wishes().find((wish) => base(wish) === spoken.language) ?? spoken.language;
}

/**
 * Marks a text that is kept for later: it is looked up when it is shown.
 *
 * @template {string} Text
 * @param {Text} text
 * @returns {Text}
 */
export function N(text) {
  return text;
}

/**
 * The text in the language that is shown; in English where its catalogue lacks it.
 *
 * @param {string} text English, which is its key in every catalogue, with {names} for what is put in
 * @param {Record<string, string | number>} [values] numbers are written as the language writes them; `count` decides
 *   the plural
 * @returns {string}
 */
export function t(text, values = {}) {
  const found = form(spoken, text, values.count) ?? form(english, text, values.count) ?? text;
  return found.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? number(value) : value;
  });
}

/**
 * @param {number} value
 * @param {Intl.NumberFormatOptions} [options]
 * @returns {string}
 */
export function number(value, options) {
  return new Intl.NumberFormat(locale(), options).format(value);
}

/**
 * @param {string | Date} at RFC 3339
 * @param {Intl.DateTimeFormatOptions} options
 * @returns {string} in the time of this place
 */
export function time(at, options) {
  return new Intl.DateTimeFormat(locale(), options).format(new Date(at));
}

/** Begins with the language that was chosen here before, else with the first one of the browser's that there is. */
export async function begin() {
  english = await read(SOURCE);
  spoken = english;
  const kept = remembered(KEPT) ?? "";
  await speak(kept in LANGUAGES ? kept : (wishes().map(base).find((wish) => wish in LANGUAGES) ?? SOURCE));
}

/**
 * Shows another language from now on, and the next time.
 *
 * @param {string} wanted one of LANGUAGES
 */
export async function choose(wanted) {
  await speak(wanted);
  remember(KEPT, wanted);
}

/** @param {string} wanted */
async function speak(wanted) {
  spoken = wanted === SOURCE ? english : await read(wanted);
  document.documentElement.lang = spoken.language;
}

/**
 * @param {string} wanted
 * @returns {Promise<Catalogue>} English where it cannot be had
 */
async function read(wanted) {
  try {
    const response = await fetch(new URL(`${wanted}.json`, import.meta.url));
    if (response.ok) {
      return { language: wanted, entries: await response.json(), plurals: new Intl.PluralRules(wanted) };
    }
  } catch {
    // Told in English, then.
  }
  return english;
}

/**
 * @param {Catalogue} catalogue
 * @param {string} text
 * @param {string | number | undefined} count
 * @returns {string | undefined}
 */
function form(catalogue, text, count) {
  const entry = catalogue.entries[text];
  if (typeof entry !== "object") return entry;
  return entry[catalogue.plurals.select(Number(count))] ?? entry.other;
}

/** @returns {readonly string[]} */
function wishes() {
  return navigator.languages?.length ? navigator.languages : [navigator.language || SOURCE];
}

/**
 * @param {string} wish such as "de-AT"
 * @returns {string}
 */
function base(wish) {
  return wish.toLowerCase().split("-")[0] ?? wish;
}
