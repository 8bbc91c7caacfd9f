// The tiles that a map is least sure of, one after the other.

import { ask } from "./asking.js";

const TILE_ON_SCREEN = 0.3; // of the view's smaller side

export class LeastSure {
  /** Walks through the tiles of the active view of `panes`; `here` answers about each. */
  constructor(panes, here) {
    this.panes = panes;
    this.here = here;
    this.path = null;
    this.tiles = [];
    this.at = -1;
    this.step(1, document.getElementById("least-next"), "n");
    this.step(-1, document.getElementById("least-previous"), "p");
  }

  /** Begin anew where another map is chosen. */
  update(layers) {
    const path = layers.map && `/slides/${layers.facts.key}/least-sure/${layers.state.map}`;
    document.getElementById("least-section").hidden = !path;
    if (path === this.path) return;
    Object.assign(this, { path, tiles: [], at: -1 });
    this.tell();
  }

  step(by, button, key) {
    button.addEventListener("click", () => this.go(by));
    document.addEventListener("keydown", (event) => {
      if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === key && !button.disabled && this.path) this.go(by);
    });
  }

  async go(by) {
    const { path } = this;
    if (!this.tiles.length) {
      const { tiles } = await ask(path);
      if (path !== this.path) return;
      this.tiles = tiles;
    }
    this.at = Math.min(Math.max(0, this.at + by), this.tiles.length - 1);
    this.tell();
    const tile = this.tiles[this.at];
    if (!tile) return;
    const { view } = this.panes.first;
    const { clientWidth, clientHeight } = view.osd.element;
    view.showSquare(tile.x, tile.y, tile.side0_px, TILE_ON_SCREEN * Math.min(clientWidth, clientHeight));
    this.here.ask(tile.x, tile.y);
  }

  tell() {
    const tile = this.tiles[this.at];
    document.getElementById("least-told").textContent = tile
      ? `${this.at + 1} of ${this.tiles.length}: ${tile.class}, ${(100 * tile.top).toFixed(0)}\u00a0%`
      : this.tiles.length || this.at < 0 ? "" : "the map has no tiles";
    document.getElementById("least-previous").disabled = this.at <= 0;
    document.getElementById("least-next").disabled = this.at >= 0 && this.at >= this.tiles.length - 1;
  }
}
