const PREFIX = "streamguard.";

/**
 * Keeps a choice of the person's in this browser. Where it forbids that, the choice holds as long as the page.
 *
 * @param {string} name
 * @param {string} value
 */
export function remember(name, value) {
  try {
    localStorage.setItem(PREFIX + name, value);
  } catch {
    // Asked again next time.
  }
}

/**
 * @param {string} name
 * @returns {string | null}
 */
export function remembered(name) {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch {
    return null;
  }
}
