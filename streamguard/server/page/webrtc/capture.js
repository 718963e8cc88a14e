import { t } from "../language/language.js";
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
    throw new Trouble(t("This browser cannot share a tab or a window."), t("Open this page in a browser on a computer."));
  }
  try {
    const media = await navigator.mediaDevices.getDisplayMedia({
      audio: false,
      video: { width: { max: 1920 }, height: { max: 1080 }, frameRate: { ideal: 30, max: 30 } },
      ...staying(),
    });
    // Faces stay sharp; the frame rate may give way.
    for (const track of media.getVideoTracks()) track.contentHint = "detail";
    return media;
  } catch (error) {
    throw shareTrouble(error);
  }
}

/**
 * This page stays in front once a tab was chosen: what it asks, and its small window, come first. Browsers that do not
 * know that go to the tab.
 *
 * @returns {{controller?: object}}
 */
function staying() {
  try {
    // @ts-expect-error: not in the library of types yet
    const controller = new CaptureController();
    controller.setFocusBehavior("no-focus-change");
    return { controller };
  } catch {
    return {};
  }
}

function secure() {
  if (window.isSecureContext && navigator.mediaDevices) return;
  throw new Trouble(
    t("The browser gives cameras and calls to secure pages only."),
    t("Open this page as {secure}, or on the server's own computer as {own}.", {
      secure: "https://",
      own: `http://localhost${location.port ? `:${location.port}` : ""}`,
    }),
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
        t("The browser was not allowed to use the camera."),
        t("Allow the camera for this page, by the sign beside the address, and press the button again."),
      );
    case "NotFoundError":
    case "OverconstrainedError":
      return new Trouble(t("No camera was found."), t("Plug one in or switch it on, and press the button again."));
    case "NotReadableError":
    case "AbortError":
      return new Trouble(
        t("The camera is there but gives no picture."),
        t("Close the other program that uses it, and try again."),
      );
    default:
      return unexpected(error, t("The camera cannot be opened."));
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
        t("Nothing is shared: no tab or window was chosen."),
        t("Press the button again and choose the tab or window of your call."),
      );
    case "NotFoundError":
    case "NotReadableError":
    case "AbortError":
      return new Trouble(
        t("The tab or window cannot be read."),
        t("Allow the browser to record the screen in the system's settings, and try again."),
      );
    default:
      return unexpected(error, t("The tab or window cannot be opened."));
  }
}

/**
 * @param {unknown} error
 * @param {string} said
 * @returns {Trouble}
 */
function unexpected(error, said) {
  console.error(error);
  return new Trouble(said, t("Load the page again, or try another browser."));
}
