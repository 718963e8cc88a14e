import { t } from "../language/language.js";
import { Trouble } from "../api/trouble.js";

/** @import { Client } from "../api/client.js" */

const GATHERING = 500;
const CONNECTING = 10_000;
const DISCONNECTED = 5_000;

/**
 * One WHIP (RFC 9725) or WHEP session: an offer is posted, the answer applied, candidates found later are trickled,
 * and the session is deleted at the end.
 */
export class Session {
  /**
   * @param {Client} client
   * @param {RTCPeerConnection} peer
   * @param {string} location the session's address
   * @param {string | null} etag
   */
  constructor(client, peer, location, etag) {
    this._client = client;
    this.peer = peer;
    this._location = location;
    this._etag = etag;
  }

  /**
   * @param {Client} client
   * @param {RTCPeerConnection} peer with its transceivers and data channels made
   * @param {string} path the endpoint
   * @param {AbortSignal} signal
   * @param {(sdp: string) => string} [adapted] what is made of the answer before it is applied
   * @returns {Promise<Session>}
   * @throws {Trouble}
   */
  static async open(client, peer, path, signal, adapted = (sdp) => sdp) {
    /** @type {RTCIceCandidate[]} */
    const late = [];
    let posted = false;
    /** @type {Session | null} */
    let session = null;
    peer.addEventListener("icecandidate", ({ candidate }) => {
      if (!posted || !candidate?.candidate) return;
      if (session) void session._trickle([candidate]);
      else late.push(candidate);
    });
    await peer.setLocalDescription();
    await gathered(peer, signal);
    posted = true;
    const offer = peer.localDescription?.sdp ?? "";
    const headers = { "Content-Type": "application/sdp" };
    const response = await client.fetch(path, { method: "POST", body: offer, headers, signal });
    const location = response.headers.get("Location");
    if (!location) {
      throw new Trouble(
        t("The server's answer is not complete."),
        t("Ask the operator of the network or the server: something on the way drops packets."),
      );
    }
    session = new Session(client, peer, new URL(location, response.url).href, response.headers.get("ETag"));
    await peer.setRemoteDescription({ type: "answer", sdp: adapted(await response.text()) });
    if (late.length) void session._trickle(late);
    return session;
  }

  /**
   * Resolves when the connection is lost.
   *
   * @param {AbortSignal} signal ends it, too
   * @param {() => void} onConnected
   * @throws {Trouble} when it never came about
   */
  async lasts(signal, onConnected) {
    const peer = this.peer;
    await new Promise((resolve, reject) => {
      /** @type {ReturnType<typeof setTimeout> | undefined} */
      let timer = setTimeout(() => reject(blocked()), CONNECTING);
      const look = () => {
        const state = peer.connectionState;
        clearTimeout(timer);
        if (state === "connected") onConnected();
        else if (state === "failed") reject(blocked());
        else if (state === "closed") resolve(undefined);
        else timer = setTimeout(() => (state === "disconnected" ? resolve(undefined) : reject(blocked())), wait(state));
      };
      peer.addEventListener("connectionstatechange", look);
      // Closing the connection fires no event here.
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve(undefined);
      });
      look();
    });
  }

  /** Tells the server that it is over, even while the page is being left. */
  close() {
    this.peer.close();
    this._client.fetch(this._location, { method: "DELETE", keepalive: true }).catch(() => {
      // The server notices by itself that nobody is there any more.
    });
  }

  /** @param {RTCIceCandidate[]} candidates */
  async _trickle(candidates) {
    const sdp = this.peer.localDescription?.sdp ?? "";
    const lines = [firstLine(sdp, "a=ice-ufrag:"), firstLine(sdp, "a=ice-pwd:")];
    lines.push("m=video 9 UDP/TLS/RTP/SAVPF 0", `a=mid:${candidates[0].sdpMid ?? "0"}`);
    lines.push(...candidates.map((candidate) => `a=${candidate.candidate}`));
    /** @type {Record<string, string>} */
    const headers = { "Content-Type": "application/trickle-ice-sdpfrag" };
    if (this._etag) headers["If-Match"] = this._etag;
    try {
      await this._client.fetch(this._location, { method: "PATCH", headers, body: `${lines.join("\r\n")}\r\n` });
    } catch {
      // The candidates sent before may do; where not, the connection fails and says so.
    }
  }
}

/**
 * @param {RTCPeerConnectionState} state
 * @returns {number} milliseconds it may last
 */
function wait(state) {
  return state === "disconnected" ? DISCONNECTED : CONNECTING;
}

/** @returns {Trouble} */
function blocked() {
  return new Trouble(
    t("The video connection does not get through."),
    t("Ask the operator of the network or the server to let video connections (UDP) through."),
    {
      retry: true,
    },
  );
}

/**
 * @param {string} sdp
 * @param {string} start
 * @returns {string}
 */
function firstLine(sdp, start) {
  return sdp.split(/\r?\n/).find((line) => line.startsWith(start)) ?? "";
}

/**
 * Resolves when all candidates are known, or after a moment: what comes later is trickled.
 *
 * @param {RTCPeerConnection} peer
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function gathered(peer, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      peer.removeEventListener("icegatheringstatechange", look);
      resolve();
    };
    const look = () => {
      if (peer.iceGatheringState === "complete") done();
    };
    const timer = setTimeout(done, GATHERING);
    peer.addEventListener("icegatheringstatechange", look);
    signal.addEventListener("abort", done);
    look();
  });
}
