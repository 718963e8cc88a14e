import { keepUp } from "../api/backoff.js";
import { asTrouble, Trouble } from "../api/trouble.js";
import { Session } from "./negotiation.js";

/** @import { Client } from "../api/client.js" */
/** @typedef {"connecting" | "live" | "waiting" | "failed" | "ended"} PublisherPhase */

const BITRATE = 2_500_000;
const START_KBPS = 1_500;
const NAME_TRIES = 4;

/**
 * Sends a camera or a shared tab to the server by WHIP, and keeps it up. Its "change" event tells a new phase.
 */
export class Publisher extends EventTarget {
  /**
   * @param {Client} client
   * @param {string} name the stream's
   * @param {MediaStream} media
   * @param {"camera" | "call"} kind
   */
  constructor(client, name, media, kind) {
    super();
    this._client = client;
    this.name = name;
    this.media = media;
    this.kind = kind;
    /** @type {PublisherPhase} */
    this.phase = "connecting";
    /** @type {Trouble | null} */
    this.trouble = null;
    this._stop = new AbortController();
    for (const track of media.getVideoTracks()) {
      track.addEventListener("ended", () => this.stop());
    }
    this._leave = () => this.stop();
    addEventListener("pagehide", this._leave);
  }

  /** Runs until it is stopped or fails for good; never throws. */
  async run() {
    let taken = 0;
    try {
      await keepUp(
        async (established) => {
          try {
            await this._once(() => {
              taken = 0;
              established();
            });
          } catch (error) {
            const trouble = asTrouble(error);
            // Our own earlier session may not have been given up yet.
            trouble.retry ||= trouble.status === 409 && ++taken < NAME_TRIES;
            throw trouble;
          }
        },
        {
          signal: this._stop.signal,
          wake: this._client,
          onPause: (trouble) => this._set("waiting", trouble),
        },
      );
    } catch (error) {
      this._set("failed", asTrouble(error));
      this._release();
    }
  }

  /** Ends it: the camera's light goes out. */
  stop() {
    if (this._stop.signal.aborted) return;
    this._stop.abort();
    this._release();
    if (this.phase !== "failed") this._set("ended", null);
  }

  /** @param {() => void} established */
  async _once(established) {
    const peer = new RTCPeerConnection({ iceServers: await this._client.iceServers(), bundlePolicy: "max-bundle" });
    /** @type {Session | null} */
    let session = null;
    try {
      const [track] = this.media.getVideoTracks();
      const { sender } = peer.addTransceiver(track, {
        direction: "sendonly",
        streams: [this.media],
        sendEncodings: [{ maxBitrate: BITRATE }],
      });
      await keepSize(sender);
      const path = `whip/${encodeURIComponent(this.name)}`;
      session = await Session.open(this._client, peer, path, this._stop.signal, quickStart);
      await session.lasts(this._stop.signal, () => {
        established();
        this._set("live", null);
      });
    } finally {
      if (session) session.close();
      else peer.close();
    }
  }

  /**
   * @param {PublisherPhase} phase
   * @param {Trouble | null} trouble
   */
  _set(phase, trouble) {
    this.phase = phase;
    this.trouble = trouble;
    this.dispatchEvent(new Event("change"));
  }

  _release() {
    removeEventListener("pagehide", this._leave);
    for (const track of this.media.getTracks()) track.stop();
  }
}

/**
 * Traces of manipulation are small: where the line or the computer is slow, pictures become fewer, not smaller.
 *
 * @param {RTCRtpSender} sender
 */
async function keepSize(sender) {
  const parameters = sender.getParameters();
  parameters.degradationPreference = "maintain-resolution";
  try {
    await sender.setParameters(parameters);
  } catch {
    // A browser that cannot do it sends what it likes.
  }
}

/**
 * Chromium begins at 300 kbit/s and takes many seconds to find out that the line carries more; meanwhile the picture
 * is too coarse to be judged. Other browsers pass over what they do not know.
 *
 * @param {string} sdp the server's answer
 * @returns {string} the answer that asks for more from the beginning
 */
export function quickStart(sdp) {
  const lines = sdp.split("\r\n");
  const extra = `x-google-start-bitrate=${START_KBPS}`;
  for (const line of [...lines]) {
    const type = /^a=rtpmap:(\d+) (?:H264|VP8)\//i.exec(line)?.[1];
    if (!type) continue;
    const format = lines.findIndex((each) => each.startsWith(`a=fmtp:${type} `));
    if (format >= 0) lines[format] += `;${extra}`;
    else lines.splice(lines.indexOf(line) + 1, 0, `a=fmtp:${type} ${extra}`);
  }
  return lines.join("\r\n");
}

/**
 * @param {"camera" | "call"} kind
 * @returns {string} a name that nobody else has: on a shared server two people press the same button
 */
export function freshName(kind) {
  const letters = "abcdefghjkmnpqrstuvwxyz23456789";
  const random = crypto.getRandomValues(new Uint8Array(5));
  return `${kind}-${Array.from(random, (byte) => letters[byte % letters.length]).join("")}`;
}
