/**
 * @typedef {Node | string | null | undefined | false} Child
 */

/**
 * Makes an element.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | boolean | EventListener | undefined>} [attributes] `on...` are listeners; true is an
 *   empty attribute, false and undefined none
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (typeof value === "string") element.setAttribute(name, value);
  }
  for (const child of children) {
    if (child) element.append(child);
  }
  return element;
}

/** What people type here is names, addresses and tokens: no keyboard may change it. */
export const TYPED = { autocomplete: "off", autocapitalize: "none", autocorrect: "off", spellcheck: "false" };

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes a line drawing of 24 by 24, in the colour of the text around it.
 *
 * @param {string} paths the path's data
 * @param {string} [kind] a class
 * @returns {SVGSVGElement}
 */
export function icon(paths, kind = "icon") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", kind);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", paths);
  svg.append(path);
  return svg;
}

/**
 * Sets a text only where it differs, so that screen readers and the layout rest.
 *
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Finds what the page's own markup holds.
 *
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page lacks #${id}`);
  return element;
}
