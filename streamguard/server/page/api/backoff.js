import { t } from "../language/language.js";
import { asTrouble, isAbort, Trouble } from "./trouble.js";

const FIRST = 0.5;
const LONGEST = 15;
const STEADY = 5_000;

/**
 * Seconds to wait before try `attempt` (from 1): doubling up to a limit, with jitter, so that the viewers of a server
 * that restarts do not all come back at the same moment.
 *
 * @param {number} attempt
 * @returns {number}
 */
export function pauseBefore(attempt) {
  return Math.min(LONGEST, FIRST * 2 ** (attempt - 1)) * (0.75 + Math.random() / 2);
}

/**
 * Resolves after some seconds, or at once when `wake` fires or the signal aborts.
 *
 * @param {number} seconds
 * @param {AbortSignal} signal
 * @param {EventTarget} [wake] its "retry" event ends the wait
 * @returns {Promise<void>}
 */
export function sleep(seconds, signal, wake) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      wake?.removeEventListener("retry", done);
      resolve();
    };
    const timer = setTimeout(done, seconds * 1000);
    signal.addEventListener("abort", done);
    wake?.addEventListener("retry", done);
    if (signal.aborted) done();
  });
}

/**
 * Runs something that is meant to last, again and again, until the signal aborts or trying again cannot help.
 *
 * @param {(established: () => void) => Promise<void>} run ends or throws when what it keeps is lost; calls
 *   `established` once it stands; if it then stood for a while, the next pause is short again
 * @param {object} options
 * @param {AbortSignal} options.signal
 * @param {(trouble: Trouble, seconds: number) => void} options.onPause told before each wait
 * @param {EventTarget} [options.wake] its "retry" event ends a wait
 * @returns {Promise<void>} when the signal aborts
 * @throws {Trouble} one that trying again does not mend
 */
export async function keepUp(run, { signal, onPause, wake }) {
  let attempt = 0;
  while (!signal.aborted) {
    let since = Infinity;
    let trouble = new Trouble(t("The connection ended."), t("The page tries again by itself."), { retry: true });
    try {
      await run(() => {
        since = performance.now();
      });
    } catch (error) {
      if (signal.aborted || isAbort(error)) return;
      trouble = asTrouble(error);
      if (!trouble.retry) throw trouble;
    }
    if (signal.aborted) return;
    attempt = performance.now() - since > STEADY ? 1 : attempt + 1;
    const seconds = Math.max(trouble.retryAfter, pauseBefore(attempt));
    onPause(trouble, seconds);
    await sleep(seconds, signal, wake);
  }
}
