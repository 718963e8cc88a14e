import { t } from "../language/language.js";
import { Trouble } from "../api/trouble.js";

const LEAP = 0.5;
const KEPT = 20;
const BEHIND = 6;
const DISTANCE = 2;

/** A video element's buffer that segments are appended to, one after the other, however the stream's clock leaps. */
export class SegmentBuffer {
  /** Whether this browser has media sources. */
  static get possible() {
    return "MediaSource" in globalThis;
  }

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this._video = video;
    this._source = new MediaSource();
    this._url = URL.createObjectURL(this._source);
    /** @type {SourceBuffer | null} */
    this._buffer = null;
    this._type = "";
    this.segments = 0;
    this._skip = () => this._skipGap();
  }

  async open() {
    const opened = new Promise((resolve) => this._source.addEventListener("sourceopen", resolve, { once: true }));
    this._video.src = this._url;
    this._video.addEventListener("waiting", this._skip);
    await opened;
  }

  /**
   * @param {ArrayBuffer} data fragmented MP4 with its own parameters
   * @param {string} type its media type with codecs
   * @param {number} start seconds on the stream's clock
   */
  async append(data, type, start) {
    const buffer = this._fit(type);
    const offset = buffer.timestampOffset;
    // The clock leaps when the source was gone, and after 26 hours: what follows is played on.
    if (!this.segments || Math.abs(start + offset - this._end) > LEAP) buffer.timestampOffset = this._end - start;
    buffer.appendBuffer(data);
    await this._settled(buffer);
    this.segments += 1;
  }

  /**
   * Forgets what was played long ago, and keeps near to what is live.
   *
   * @param {number} target seconds of a segment
   */
  async tidy(target) {
    const video = this._video;
    const end = this._end;
    if (end - video.currentTime > BEHIND * target) video.currentTime = end - DISTANCE * target;
    const old = video.currentTime - KEPT;
    if (this._buffer?.buffered.length && this._buffer.buffered.start(0) < old) {
      this._buffer.remove(0, old);
      await this._settled(this._buffer);
    }
  }

  close() {
    const video = this._video;
    video.removeEventListener("waiting", this._skip);
    URL.revokeObjectURL(this._url);
    // Another player may have the element by now.
    if (video.src !== this._url) return;
    video.removeAttribute("src");
    video.load();
  }

  get _end() {
    const ranges = this._buffer?.buffered;
    return ranges?.length ? ranges.end(ranges.length - 1) : 0;
  }

  /**
   * @param {string} type
   * @returns {SourceBuffer}
   */
  _fit(type) {
    if (type === this._type && this._buffer) return this._buffer;
    if (!MediaSource.isTypeSupported(type)) {
      throw new Trouble(t("This browser cannot play the stream's codecs."), t("Choose other marks, or use another browser."));
    }
    if (this._buffer) this._buffer.changeType(type);
    else this._buffer = this._source.addSourceBuffer(type);
    this._type = type;
    return this._buffer;
  }

  /** @param {SourceBuffer} buffer */
  async _settled(buffer) {
    const settled = new AbortController();
    try {
      await new Promise((resolve, reject) => {
        const failed = () =>
          reject(new Trouble(t("A segment could not be played."), t("The page tries again by itself."), { retry: true }));
        buffer.addEventListener("updateend", resolve, { signal: settled.signal });
        buffer.addEventListener("error", failed, { signal: settled.signal });
      });
    } finally {
      settled.abort();
    }
  }

  /** Where pictures are missing, playing would stop for good. */
  _skipGap() {
    const { buffered, currentTime } = this._video;
    for (let index = 0; index < buffered.length; index += 1) {
      if (buffered.start(index) > currentTime) {
        this._video.currentTime = buffered.start(index);
        return;
      }
    }
  }
}
