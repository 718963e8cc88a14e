import { N, t } from "../language/language.js";
import { h, setText } from "../parts/dom.js";
import { means } from "./small_window.js";

/** @import { Chime } from "../parts/chime.js" */
/** @import { Notifier, Permission } from "./notifier.js" */
/** @import { SmallWindow } from "./small_window.js" */

/** @type {Record<Permission, string>} */
const NOTIFICATIONS = {
  granted: N("A notification of your system warns you, also while this tab is hidden."),
  default: N("Let this page warn you by a notification while you look at the call."),
  denied: N(
    "Notifications are blocked for this page. Allow them by the sign beside the address; until then the sound and this page warn you.",
  ),
  none: N("This browser shows no notifications for this page. The sound and this page warn you."),
};

/** How one is warned while in the call: notifications, sound, the small window. */
export class GuardPanel {
  /**
   * @param {Notifier} notifier
   * @param {Chime} chime
   * @param {SmallWindow} small
   */
  constructor(notifier, chime, small) {
    this._notifier = notifier;
    this._small = small;
    this._ended = new AbortController();
    const { signal } = this._ended;
    this._words = h("p", { class: "guard-words" });
    this._allow = h("button", { type: "button", onclick: () => void notifier.ask() }, t("Allow notifications"));
    this._window = h("button", { type: "button", onclick: () => void this._toggle() });
    this._said = h("p", { class: "guard-words", role: "status" });
    this.element = h(
      "section",
      { class: "panel guard", "aria-labelledby": "guard-title" },
      h("div", { class: "panel-head" }, h("h2", { id: "guard-title" }, t("While you are in the call")), chime.toggle(signal)),
      this._words,
      h("div", { class: "guard-tools" }, this._allow, this._window),
      this._said,
    );
    const show = () => this._show();
    notifier.addEventListener("change", show, { signal });
    small.addEventListener("change", show, { signal });
    show();
  }

  stop() {
    this._ended.abort();
  }

  _show() {
    const { permission } = this._notifier;
    this.element.dataset.notifications = permission;
    setText(this._words, t(NOTIFICATIONS[permission]));
    this._allow.hidden = permission !== "default";
    const none = means() === "none";
    this._window.hidden = none;
    setText(this._window, this._small.open ? t("Close the small window") : t("Small window on top"));
    if (none) {
      setText(this._said, t("This browser has no small window that stays on top. Keep this page in sight beside the call."));
    }
  }

  async _toggle() {
    setText(this._said, "");
    if (this._small.open) {
      this._small.close();
      return;
    }
    try {
      await this._small.show();
    } catch (error) {
      console.warn(error);
      setText(this._said, t("The small window could not be opened. Press the button again once the picture is there."));
    }
  }
}
