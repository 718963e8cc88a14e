import { Trouble } from "../api/trouble.js";

/** @returns {boolean} whether this browser can share a tab or a window at all */
export function canShare() {
  return Boolean(navigator.mediaDevices?.getDisplayMedia);
}

/**
 * @returns {Promise<MediaStream>} the camera's picture, without sound
 * @throws {Trouble}
 */
export async function openCamera() {
  secure();
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30, max: 30 } },
    });
  } catch (error) {
    throw cameraTrouble(error);
  }
}

/**
 * @returns {Promise<MediaStream>} the picture of a tab or a window, without sound
 * @throws {Trouble}
 */
export async function openShare() {
  secure();
  if (!canShare()) {
    throw new Trouble("This browser cannot share a tab or a window.", "Open this page in a browser on a computer.");
  }
  try {
    const media = await navigator.mediaDevices.getDisplayMedia({
      audio: false,
      video: { width: { max: 1920 }, height: { max: 1080 }, frameRate: { ideal: 30, max: 30 } },
    });
    // Faces stay sharp; the frame rate may give way.
    for (const track of media.getVideoTracks()) track.contentHint = "detail";
    return media;
  } catch (error) {
    throw shareTrouble(error);
  }
}

function secure() {
  if (window.isSecureContext && navigator.mediaDevices) return;
  throw new Trouble(
    "The browser gives cameras and calls to secure pages only.",
    `Open this page as https://, or on the server's own computer as http://localhost${location.port ? `:${location.port}` : ""}.`,
  );
}

/**
 * @param {unknown} error
 * @returns {Trouble}
 */
function cameraTrouble(error) {
  switch (error instanceof DOMException ? error.name : "") {
    case "NotAllowedError":
      return new Trouble(
        "The browser was not allowed to use the camera.",
        "Allow the camera for this page, by the sign beside the address, and press the button again.",
      );
    case "NotFoundError":
    case "OverconstrainedError":
      return new Trouble("No camera was found.", "Plug one in or switch it on, and press the button again.");
    case "NotReadableError":
    case "AbortError":
      return new Trouble(
        "The camera is there but gives no picture.",
        "Close the other program that uses it, and try again.",
      );
    default:
      return unexpected(error, "camera");
  }
}

/**
 * @param {unknown} error
 * @returns {Trouble}
 */
function shareTrouble(error) {
  switch (error instanceof DOMException ? error.name : "") {
    case "NotAllowedError":
      return new Trouble(
        "Nothing is shared: no tab or window was chosen.",
        "Press the button again and choose the tab or window of your call.",
      );
    case "NotFoundError":
    case "NotReadableError":
    case "AbortError":
      return new Trouble(
        "The tab or window cannot be read.",
        "Allow the browser to record the screen in the system's settings, and try again.",
      );
    default:
      return unexpected(error, "shared window");
  }
}

/**
 * @param {unknown} error
 * @param {string} what
 * @returns {Trouble}
 */
function unexpected(error, what) {
  const cause = error instanceof Error ? error.message : String(error);
  return new Trouble(`The ${what} cannot be opened: ${cause}.`, "Load the page again, or try another browser.");
}
