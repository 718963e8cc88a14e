import { sentence } from "./sentence.js";

/** Something that went wrong, told as a sentence and a remedy. */
export class Trouble extends Error {
  /**
   * @param {string} title what happened, one sentence
   * @param {string} remedy what to do about it, one sentence
   * @param {{status?: number, retry?: boolean, retryAfter?: number}} [options] HTTP status (0: no answer), whether
   *   trying again can help, and the seconds that the server asks to wait
   */
  constructor(title, remedy, { status = 0, retry = false, retryAfter = 0 } = {}) {
    super(title);
    this.title = title;
    this.remedy = remedy;
    this.status = status;
    this.retry = retry;
    this.retryAfter = retryAfter;
  }
}

const REMEDIES = /** @type {Record<number, [string, string]>} */ ({
  401: ["The server asks for an access token.", "Enter a token that may do this."],
  403: ["This access token does not allow that.", "Use a token with a wider scope."],
  404: ["The server does not know this stream.", "Go back to the start page and choose one that is there."],
  409: ["A stream of this name already exists.", "Choose another name."],
  413: ["The request is larger than the server takes.", "Send less."],
  429: ["The server gets too many requests.", "Wait a moment; the page tries again by itself."],
  503: [
    "The server has no room for another stream.",
    "Stop one that is no longer needed; the page tries again by itself.",
  ],
});

/**
 * The trouble that a refused request tells, from its problem+json body (RFC 9457) where there is one.
 *
 * @param {Response} response
 * @returns {Promise<Trouble>}
 */
export async function troubleOf(response) {
  const status = response.status;
  const [title, remedy] = REMEDIES[status] ?? [
    `The server answered with an error (${status}).`,
    "Try again; if it stays, look into the server's log.",
  ];
  // What the server says of a missing token is meant for programs.
  const told = status === 401 ? {} : await problem(response);
  return new Trouble(told.detail || told.title || title, told.remedy || remedy, {
    status,
    retry: status === 429 || status >= 500,
    retryAfter: Number(response.headers.get("Retry-After")) || 0,
  });
}

/**
 * @param {Response} response
 * @returns {Promise<{title?: string, detail?: string, remedy?: string}>}
 */
async function problem(response) {
  if (!(response.headers.get("Content-Type") ?? "").includes("json")) return {};
  try {
    const body = await response.json();
    return {
      title: text(body.title),
      detail: text(body.detail),
      remedy: text(body.remedy),
    };
  } catch {
    return {};
  }
}

/**
 * @param {unknown} value
 * @returns {string | undefined} the value as a sentence
 */
function text(value) {
  if (typeof value !== "string" || !value.trim()) return undefined;
  return sentence(value);
}

/**
 * @param {unknown} error
 * @returns {Trouble}
 */
export function asTrouble(error) {
  if (error instanceof Trouble) return error;
  return new Trouble(
    `Something unexpected happened: ${error instanceof Error ? error.message : String(error)}.`,
    "Load the page again.",
  );
}

/**
 * @param {unknown} error
 * @returns {boolean} whether it only says that the caller gave up
 */
export function isAbort(error) {
  return error instanceof DOMException && error.name === "AbortError";
}
