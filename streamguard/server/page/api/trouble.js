import { N, t } from "../language/language.js";
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
  401: [N("The server asks for an access token."), N("Enter a token that may do this.")],
  403: [N("This access token does not allow that."), N("Use a token that may do more.")],
  404: [N("The server does not know this."), N("Go back to the start page and choose something that is there.")],
  409: [N("A stream of this name already exists."), N("Choose another name.")],
  413: [N("The request is larger than the server takes."), N("Send less.")],
  429: [N("The server gets too many requests."), N("Wait a moment; the page tries again by itself.")],
  503: [
    N("The server has no room for another stream."),
    N("Stop one that is no longer needed; the page tries again by itself."),
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
    N("The server could not do that (error {status})."),
    N("Try again. If it keeps failing, tell the operator of the server."),
  ];
  // What the server says of a missing token is meant for programs.
  const told = status === 401 ? {} : await problem(response);
  return new Trouble(told.detail || told.title || t(title, { status: String(status) }), told.remedy || t(remedy), {
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
  return sentence(value.replace(/`([^`]*)`/g, "\u201c$1\u201d"));
}

/**
 * @param {unknown} error
 * @returns {Trouble}
 */
export function asTrouble(error) {
  if (error instanceof Trouble) return error;
  // For who mends the page; a person is told what they can do.
  console.error(error);
  return new Trouble(t("Something went wrong on this page."), t("Load it again."));
}

/**
 * @param {unknown} error
 * @returns {boolean} whether it only says that the caller gave up
 */
export function isAbort(error) {
  return error instanceof DOMException && error.name === "AbortError";
}
