/** @typedef {"granted" | "denied" | "default" | "none"} Permission "none": this browser has no notifications for it */

/** Warnings by the system's own notifications, for who looks elsewhere. Its "change" event tells a new permission. */
export class Notifier extends EventTarget {
  constructor() {
    super();
    this._useless = false;
  }

  /** @returns {Permission} */
  get permission() {
    if (this._useless || !("Notification" in window) || !window.isSecureContext) return "none";
    return Notification.permission;
  }

  /** Asks the person, where that was not done yet. Browsers want a click before it. */
  async ask() {
    if (this.permission !== "default") return;
    try {
      await Notification.requestPermission();
    } catch {
      // Older browsers refuse outside of a click: the button stays.
    }
    this.dispatchEvent(new Event("change"));
  }

  /**
   * Warns who does not look at this page.
   *
   * @param {string} title
   * @param {object} options
   * @param {string} options.body
   * @param {string} options.tag one notification for each
   * @param {string} options.hash where a click on it leads
   */
  warn(title, { body, tag, hash }) {
    if (this.permission !== "granted" || (!document.hidden && document.hasFocus())) return;
    try {
      const shown = new Notification(title, { body, tag, requireInteraction: true });
      shown.addEventListener("click", () => {
        window.focus();
        location.hash = hash;
        shown.close();
      });
    } catch {
      // Browsers of phones have them for installed pages only.
      this._useless = true;
      this.dispatchEvent(new Event("change"));
    }
  }
}
