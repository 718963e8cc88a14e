import { h } from "./dom.js";

const LATER = 10_000;

/**
 * Has the browser keep a file: fetched before, so that the token stays in a header.
 *
 * @param {Blob} blob
 * @param {string} name
 */
export function saveAs(blob, name) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), LATER);
}
