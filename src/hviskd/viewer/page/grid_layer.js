// A layer of cells: fetched tile by tile at the level that the screen needs, coloured here, drawn where it lies.

import { ask, askBytes } from "./asking.js";

const MOST_TILES = 200; // kept; one has up to 65,536 cells

export class GridLayer {
  /** A layer at a path of the viewer; `changed` is called when more of it can be drawn. */
  constructor(path, changed) {
    this.path = path;
    this.changed = changed;
    this.geometry = null;
    this.tiles = new Map();
    this.colours = null;
    this.ready = ask(path).then((geometry) => {
      this.geometry = geometry;
      changed();
    });
  }

  /** Colour cells by another table. */
  setColours(colours) {
    this.colours = colours;
    for (const tile of this.tiles.values()) tile.canvas = null;
  }

  /** Draw what lies in `view`: where level-0 px (x, y) is at (left + x · scale, top + y · scale) of the canvas. */
  draw(context, { left, top, scale }, opacity, smooth) {
    if (!this.geometry || !this.colours) return;
    const { cell_px, tile } = this.geometry;
    const level = this.levelFor(scale);
    const side = cell_px * 2 ** level * scale; // of a cell on the canvas
    const [columns, rows] = this.size(level);
    const { width, height } = context.canvas;
    context.globalAlpha = opacity;
    context.imageSmoothingEnabled = smooth;
    const first = (start) => Math.max(0, Math.floor(-start / (side * tile)));
    for (let row = first(top); row * tile < rows && top + row * tile * side < height; row += 1) {
      for (let column = first(left); column * tile < columns && left + column * tile * side < width; column += 1) {
        const across = Math.min(tile, columns - column * tile), down = Math.min(tile, rows - row * tile);
        const canvas = this.tile(level, column, row, across, down);
        if (!canvas) continue;
        const x = Math.round(left + column * tile * side), y = Math.round(top + row * tile * side);
        const right = Math.round(left + (column * tile + across) * side);
        const bottom = Math.round(top + (row * tile + down) * side);
        context.drawImage(canvas, x, y, right - x, bottom - y);
      }
    }
    context.globalAlpha = 1;
  }

  /** The byte of the cell at a place in level-0 px, if it is here. */
  at(x, y) {
    if (!this.geometry) return null;
    const { cell_px, tile, rows, columns } = this.geometry;
    const [column, row] = [Math.floor(x / cell_px), Math.floor(y / cell_px)];
    if (column < 0 || row < 0 || column >= columns || row >= rows) return null;
    const found = this.tiles.get(`0/${Math.floor(column / tile)}/${Math.floor(row / tile)}`);
    return found?.cells ? found.cells[(row % tile) * found.across + (column % tile)] : null;
  }

  levelFor(scale) {
    const { cell_px, levels } = this.geometry;
    const level = Math.floor(Math.log2(1 / Math.max(1e-9, cell_px * scale)));
    return Math.min(Math.max(0, level), levels - 1);
  }

  size(level) {
    return [this.geometry.columns, this.geometry.rows].map((side) => Math.ceil(side / 2 ** level));
  }

  tile(level, column, row, across, down) {
    const key = `${level}/${column}/${row}`;
    let tile = this.tiles.get(key);
    if (!tile) {
      tile = { cells: null, canvas: null, across, down };
      this.tiles.set(key, tile);
      if (this.tiles.size > MOST_TILES) this.tiles.delete(this.tiles.keys().next().value);
      askBytes(`${this.path}/${key}`).then((cells) => {
        tile.cells = cells;
        this.changed();
      });
    }
    if (tile.cells && !tile.canvas) tile.canvas = paint(tile, this.colours);
    return tile.canvas;
  }
}

function paint({ cells, across, down }, colours) {
  const canvas = document.createElement("canvas");
  canvas.width = across;
  canvas.height = down;
  const picture = new ImageData(across, down);
  const px = new Uint32Array(picture.data.buffer);
  for (let at = 0; at < cells.length; at += 1) px[at] = colours[cells[at]];
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas;
}
