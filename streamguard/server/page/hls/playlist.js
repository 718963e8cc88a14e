/**
 * @typedef {object} Segment
 * @property {number} number counts up through the stream
 * @property {number} duration seconds
 * @property {string} name relative to the playlist
 *
 * @typedef {object} Playlist
 * @property {number} target seconds of the longest segment
 * @property {Segment[]} segments
 * @property {number | null} until when the last one ended, milliseconds by the server's clock; null: not told
 */

/**
 * Reads a media playlist (RFC 8216).
 *
 * @param {string} text
 * @returns {Playlist}
 */
export function readPlaylist(text) {
  /** @type {Playlist} */
  const playlist = { target: 2, segments: [], until: null };
  let number = 0;
  let duration = 0;
  /** @type {number | null} */
  let began = null;
  for (const line of text.split(/\r?\n/)) {
    const [tag, value] = cut(line);
    if (tag === "#EXT-X-TARGETDURATION") playlist.target = Number(value) || playlist.target;
    else if (tag === "#EXT-X-MEDIA-SEQUENCE") number = Number(value) || 0;
    else if (tag === "#EXTINF") duration = Number.parseFloat(value) || 0;
    else if (tag === "#EXT-X-PROGRAM-DATE-TIME") began = time(value);
    else if (line && !line.startsWith("#")) {
      playlist.segments.push({ number, duration, name: line });
      playlist.until = began === null ? null : began + duration * 1000;
      began = playlist.until;
      number += 1;
    }
  }
  return playlist;
}

/**
 * @param {string} line
 * @returns {[string, string]}
 */
function cut(line) {
  const colon = line.indexOf(":");
  return colon < 0 ? [line, ""] : [line.slice(0, colon), line.slice(colon + 1)];
}

/**
 * @param {string} text ISO 8601, its zone with a colon or without
 * @returns {number | null}
 */
function time(text) {
  const found = Date.parse(text.replace(/([+-]\d\d)(\d\d)$/, "$1:$2"));
  return Number.isNaN(found) ? null : found;
}
