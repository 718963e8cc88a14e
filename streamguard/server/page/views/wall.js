import { N, t } from "../language/language.js";
import { h, setText } from "../parts/dom.js";
import { Snapshot } from "../parts/snapshot.js";
import { showState } from "../parts/state_chip.js";
import { amount, clock, streamWords } from "../parts/wording.js";

/** @import { Client } from "../api/client.js" */
/** @import { Stream } from "../api/types.js" */

const REFRESH = 2_000;
/** Pixels of a tile's words, below its picture. */
const WORDS = 76;

/** All streams as tiles: a picture refreshed now and then, the name, the state. Only tiles in sight are refreshed. */
export class Wall {
  /** @param {Client} client */
  constructor(client) {
    this._client = client;
    this.element = h("ul", { class: "wall" });
    /** @type {Map<string, Tile>} */
    this._tiles = new Map();
    this._sight = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const tile = [...this._tiles.values()].find(({ element }) => element === entry.target);
        if (tile) tile.inSight = entry.isIntersecting;
        if (tile?.inSight && tile.pictured) void tile.snapshot.refresh();
      }
    });
    this._fills = false;
    this._size = new ResizeObserver(() => this._arrange());
    this._size.observe(this.element);
    this._timer = setInterval(() => this._refresh(), REFRESH);
  }

  /** @param {boolean} all whether the tiles share the whole height that there is, all of them in sight */
  fill(all) {
    this._fills = all;
    this._arrange();
  }

  /** So many columns that the pictures are largest. */
  _arrange() {
    const count = this._tiles.size;
    this.element.style.removeProperty("--columns");
    if (!this._fills || !count) return;
    const { width, height } = this.element.getBoundingClientRect();
    let [best, most] = [1, 0];
    for (let columns = 1; columns <= count; columns += 1) {
      const rows = Math.ceil(count / columns);
      const size = Math.min(width / columns / 16, (height / rows - WORDS) / 9);
      if (size > most) [best, most] = [columns, size];
    }
    this.element.style.setProperty("--columns", String(best));
  }

  stop() {
    this._size.disconnect();
    clearInterval(this._timer);
    this._sight.disconnect();
    for (const tile of this._tiles.values()) tile.snapshot.stop();
  }

  /** @param {Stream[]} streams */
  show(streams) {
    const names = new Set(streams.map(({ name }) => name));
    for (const [name, tile] of this._tiles) {
      if (names.has(name)) continue;
      this._sight.unobserve(tile.element);
      tile.snapshot.stop();
      tile.element.remove();
      this._tiles.delete(name);
    }
    for (const stream of streams) {
      let tile = this._tiles.get(stream.name);
      if (!tile) {
        tile = new Tile(this._client, stream.name);
        this._tiles.set(stream.name, tile);
        this.element.append(tile.element);
        this._sight.observe(tile.element);
      }
      tile.show(stream);
    }
    this._arrange();
  }

  /** @param {Date | null} since the server does not answer since then */
  stale(since) {
    for (const tile of this._tiles.values()) tile.stale(since);
  }

  _refresh() {
    if (document.hidden) return;
    for (const tile of this._tiles.values()) {
      if (tile.inSight && tile.pictured) void tile.snapshot.refresh();
    }
  }
}

class Tile {
  /**
   * @param {Client} client
   * @param {string} name
   */
  constructor(client, name) {
    this.inSight = false;
    this.pictured = false;
    this.snapshot = new Snapshot(client, name);
    this._chip = h("span", { class: "tile-state" });
    this._message = h("p", { class: "tile-message" });
    this._detail = h("p", { class: "tile-detail" });
    this._past = h("p", { class: "as-of", hidden: true });
    this.element = h(
      "li",
      { class: "tile" },
      h(
        "a",
        { href: `#/stream/${encodeURIComponent(name)}` },
        h("div", { class: "tile-picture" }, this.snapshot.element, this._message),
        h("div", { class: "tile-words" }, h("h3", {}, name), this._chip, this._past, this._detail),
      ),
    );
  }

  /** @param {Stream} stream */
  show(stream) {
    this.stale(null);
    // Before the first judged frame there is no picture to ask for.
    this.pictured = stream.totals.judged > 0 && stream.last_verdict !== null;
    const words = streamWords(stream);
    const over = stream.state !== "up";
    const said = over ? stream.last_verdict : stream.verdict;
    this.element.dataset.state = said ?? "UNKNOWN";
    this.element.dataset.signal = stream.state;
    this.element.dataset.past = over ? "yes" : "no";
    this._chip.hidden = said === null;
    if (said !== null) showState(this._chip, said);
    this._past.hidden = !over || said === null;
    setText(this._past, t("last verdict"));
    setText(this._message, words?.headline ?? "");
    const judged = amount(stream.rates.judged, N("{value} frames/s judged"));
    setText(this._detail, words?.sentence ?? `${t("{count} faces", { count: stream.tracks.length })}, ${judged}`);
  }

  /** @param {Date | null} since */
  stale(since) {
    if (!since) {
      delete this.element.dataset.stale;
      return;
    }
    this.element.dataset.stale = "yes";
    this._past.hidden = false;
    setText(this._past, t("as of {time}", { time: clock(since) }));
  }
}
