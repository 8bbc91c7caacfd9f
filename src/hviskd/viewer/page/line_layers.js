// Layers of lines: the expert's outlines, and the grid of the tiles.

import { ask } from "./asking.js";
import { NONE } from "./colouring.js";
import { pathOf, strokeOnRim } from "./outline_path.js";

const LEAST_CELL_PX = 7; // on the screen; a finer grid would be a haze

let asked = { path: null, drawing: null }; // of the slide that is shown, for all its views

function drawingAt(path) {
  if (asked.path !== path) {
    asked = { path, drawing: ask(path) };
    asked.drawing.catch(forgetDrawing);
  }
  return asked.drawing;
}

/** Ask anew for the outlines when they are next needed. */
export function forgetDrawing() {
  asked = { path: null, drawing: null };
}

/** The expert's outlines, in the colours of their classes, on a pale rim. */
export class OutlineLayer {
  constructor(path, changed) {
    this.drawing = null;
    this.paths = [];
    this.ready = drawingAt(path).then((drawing) => {
      this.drawing = drawing;
      this.paths = drawing.regions.map((region) => pathOf(region.rings));
      changed();
    });
  }

  draw(context, { left, top, scale }, opacity) {
    if (!this.drawing) return;
    context.save();
    context.setTransform(scale, 0, 0, scale, left, top);
    context.globalAlpha = opacity;
    context.lineJoin = "round";
    this.paths.forEach((path, place) => {
      strokeOnRim(context, path, this.drawing.classes[this.drawing.regions[place].class].colour, 2.5, scale);
    });
    context.restore();
  }

  /** The name of the uppermost class at a place, or null. */
  at(context, x, y) {
    for (let place = this.paths.length - 1; place >= 0; place -= 1) {
      context.save();
      context.setTransform(1, 0, 0, 1, 0, 0);
      const inside = context.isPointInPath(this.paths[place], x, y, "evenodd");
      context.restore();
      if (inside) return this.drawing.classes[this.drawing.regions[place].class].name;
    }
    return null;
  }
}

/** Draw the borders of the cells in which a grid layer has a class. */
export function drawTileGrid(context, { left, top, scale }, opacity, grid) {
  const side = grid.geometry ? grid.geometry.cell_px * scale : 0;
  if (side < LEAST_CELL_PX * devicePixelRatio) return;
  const { columns, rows, cell_px } = grid.geometry;
  const { width, height } = context.canvas;
  context.save();
  context.globalAlpha = opacity;
  context.strokeStyle = "rgb(0 0 0)";
  context.lineWidth = Math.max(1, devicePixelRatio);
  context.beginPath();
  const from = (start) => Math.max(0, Math.floor(-start / side));
  for (let row = from(top); row < rows && top + row * side < height; row += 1) {
    for (let column = from(left); column < columns && left + column * side < width; column += 1) {
      const found = grid.at((column + 0.5) * cell_px, (row + 0.5) * cell_px);
      if (found === null || found === NONE) continue;
      const x = Math.round(left + column * side), y = Math.round(top + row * side);
      context.rect(x + 0.5, y + 0.5, Math.round(left + (column + 1) * side) - x, Math.round(top + (row + 1) * side) - y);
    }
  }
  context.stroke();
  context.restore();
}
