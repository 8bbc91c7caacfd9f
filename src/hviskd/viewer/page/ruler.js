// The ruler: a line on the slide, and how long it is in µm or mm by the slide's own µm/px.

import { length } from "./words.js";

const DRAG_PX = 6; // of the screen; less is a click with an unsteady hand

export class RulerTool {
  /** Measures on the slide whose µm/px `mpp()` gives; `told` is called with the length. */
  constructor(mpp, redraw, told) {
    Object.assign(this, { mpp, redraw, told });
    this.ends = [];
    this.open = false; // whether the second end still follows the pointer
  }

  leave() {
    Object.assign(this, { ends: [], open: false });
    this.redraw();
  }

  escape() {
    const there = this.ends.length > 0;
    this.leave();
    return there;
  }

  press({ x, y }) {
    Object.assign(this, { begin: [x, y], dragging: false });
  }

  drag({ x, y, px }) {
    this.dragging ||= Math.hypot(x - this.begin[0], y - this.begin[1]) > DRAG_PX * px;
    if (this.dragging) Object.assign(this, { ends: [this.begin, [x, y]], open: false });
    this.redraw();
    return true;
  }

  drop() {
    if (this.dragging) this.tell();
    return true;
  }

  pinch() {
    if (this.dragging) this.leave();
  }

  /** The first click sets one end, the second the other, the third begins anew. */
  click({ x, y }) {
    if (this.open) Object.assign(this, { ends: [this.ends[0], [x, y]], open: false });
    else Object.assign(this, { ends: [[x, y], [x, y]], open: true });
    if (!this.open) this.tell();
    this.redraw();
    return true;
  }

  move({ x, y }) {
    if (!this.open) return;
    this.ends[1] = [x, y];
    this.redraw();
  }

  enter(place) {
    this.click(place);
  }

  get um() {
    const [[ax, ay], [bx, by]] = this.ends;
    return Math.hypot(bx - ax, by - ay) * this.mpp();
  }

  tell() {
    this.told(`${length(this.um)} long`);
  }

  paint(context, { left, top, scale }) {
    if (!this.ends.length) return;
    const [[ax, ay], [bx, by]] = this.ends.map(([x, y]) => [left + x * scale, top + y * scale]);
    const ratio = devicePixelRatio, turn = Math.atan2(by - ay, bx - ax);
    const [across, down] = [Math.sin(turn) * 7 * ratio, -Math.cos(turn) * 7 * ratio];
    for (const [width, colour] of [[5, "rgb(255 255 255 / 0.9)"], [2, "rgb(0 0 0)"]]) {
      context.lineWidth = width * ratio;
      context.strokeStyle = colour;
      context.beginPath();
      context.moveTo(ax, ay);
      context.lineTo(bx, by);
      for (const [x, y] of [[ax, ay], [bx, by]]) {
        context.moveTo(x - across, y - down);
        context.lineTo(x + across, y + down);
      }
      context.stroke();
    }
    if (this.um > 0) label(context, length(this.um), (ax + bx) / 2, (ay + by) / 2 - 18 * ratio, ratio);
  }
}

function label(context, words, x, y, ratio) {
  context.font = `600 ${13 * ratio}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  const wide = context.measureText(words).width + 14 * ratio, high = 22 * ratio;
  context.fillStyle = "rgb(255 255 255 / 0.94)";
  context.beginPath();
  context.roundRect(x - wide / 2, y - high / 2, wide, high, 5 * ratio);
  context.fill();
  context.fillStyle = "rgb(0 0 0)";
  context.fillText(words, x, y + ratio);
}
