// The tiles of a TileSet where they were cut: squares in the colours of their classes, with a line for each split.

import { ask } from "./asking.js";
import { css } from "./colouring.js";

const FILL = 0.3, LEAST_PX = 4; // on the screen; the borders of smaller squares would hide them
const NO_CLASS = [90, 90, 90];

/** How the border of a square is drawn, in px of the screen, by split. */
export const DASHES = { train: [], val: [6, 4], test: [2, 3], "": [] };

export class TileBoxes {
  constructor(path, changed) {
    this.drawing = null;
    this.ready = ask(path).then((tiles) => {
      this.drawing = tiles;
      changed();
    });
  }

  draw(context, { left, top, scale }, opacity) {
    if (!this.drawing) return;
    const { x, y, side, classes, class: labels, split } = this.drawing;
    const { width, height } = context.canvas;
    context.save();
    context.lineWidth = 1.5 * devicePixelRatio;
    for (let at = 0; at < x.length; at += 1) {
      const across = side[at] * scale, px = left + x[at] * scale, py = top + y[at] * scale;
      if (px > width || py > height || px + across < 0 || py + across < 0) continue;
      const colour = css(classes[labels[at]]?.colour ?? NO_CLASS);
      context.globalAlpha = FILL * opacity;
      context.fillStyle = colour;
      context.fillRect(px, py, across, across);
      if (across < LEAST_PX * devicePixelRatio) continue;
      context.globalAlpha = opacity;
      context.strokeStyle = colour;
      context.setLineDash((DASHES[split[at]] ?? []).map((each) => each * devicePixelRatio));
      context.strokeRect(px + 1, py + 1, across - 2, across - 2);
    }
    context.restore();
  }

  /** Which classes and splits the slide's tiles have, and how many. */
  get counts() {
    const count = (names) => names.reduce((found, name) => found.set(name, (found.get(name) ?? 0) + 1), new Map());
    const { class: labels, split } = this.drawing ?? { class: [], split: [] };
    return { classes: count(labels), splits: count(split) };
  }
}

/** The key of the layer, as pairs of a colour and words. */
export function keyOfTiles(boxes) {
  const { classes, splits } = boxes.counts;
  const words = [...classes].sort(([one], [other]) => one - other).map(([label, times]) => {
    const known = boxes.drawing.classes[label];
    return [known?.colour ?? NO_CLASS, `${known?.name ?? "no label"} ${times.toLocaleString("en")}`];
  });
  const lines = { train: "solid", val: "dashed", test: "dotted" };
  const told = [...splits].filter(([name]) => lines[name]).map(([name, times]) => `${name} ${times.toLocaleString("en")} (${lines[name]})`);
  return { words, splits: told.join(", ") };
}
