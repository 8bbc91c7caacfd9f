// The tools that make an outline: corner by corner, in one stroke, or as the region of the map at a place.

import { ask } from "./asking.js";
import { arrowStep } from "./arrows.js";
import { ringOf, simplified } from "./geometry.js";

export const CLOSE_PX = 10; // of the screen, as the others
const UNCLASSIFIED = "unclassified"; // what the viewer calls an outline without a class
const STEP_PX = 1.5, ROUGH_PX = 0.7;

/** Gives a Drawing an outline of corners; fewer than three, or three in the same place, are none. */
function addOutline(drawing, points) {
  const apart = points.filter(([x, y], at) => !at || Math.hypot(x - points[at - 1][0], y - points[at - 1][1]) > 1e-3);
  if (apart.length < 3) return;
  if (!drawing.chosen) drawing.addClass(UNCLASSIFIED);
  const { chosen } = drawing;
  drawing.add({ label: chosen.name, name: "", colour: chosen.colour, polygons: [[ringOf(apart, drawing.within)]] });
}

class Sketch {
  constructor(drawing, redraw) {
    this.drawing = drawing;
    this.redraw = redraw;
    this.points = [];
    this.pointer = null;
  }

  leave() {
    this.points = [];
    this.pointer = null;
    this.redraw();
  }

  escape() {
    const begun = this.points.length > 0;
    this.leave();
    return begun;
  }

  finish() {
    const { points } = this;
    this.points = [];
    addOutline(this.drawing, points);
    this.redraw();
  }
}

export class PolygonTool extends Sketch {
  click({ x, y, px }) {
    const { points } = this;
    if (points.length > 2 && Math.hypot(x - points[0][0], y - points[0][1]) < CLOSE_PX * px) return this.finish();
    points.push([x, y]);
    this.redraw();
    return true;
  }

  /** Close the outline; the second click of the two has added a corner. */
  double({ px }, { originalEvent }) {
    const last = this.points.at(-1), before = this.points.at(-2);
    if (before) {
      const near = Math.hypot(last[0] - before[0], last[1] - before[1]) < CLOSE_PX * px;
      if (!near && originalEvent.pointerType !== "touch") return true; // two corners, soon after each other
      this.points.pop();
    }
    if (this.points.length > 2) this.finish();
    else if (this.points.length === 1) this.leave(); // of an outline that the first click closed
    return true;
  }

  move({ x, y }) {
    this.pointer = [x, y];
    if (this.points.length) this.redraw();
  }

  /** Enter adds a corner in the middle of the screen, or closes there; Shift and Enter close at once. */
  enter(place, event) {
    if (event.shiftKey) return this.points.length > 2 && this.finish();
    return this.click(place);
  }

  erase() {
    this.points.pop();
    this.redraw();
  }
}

/** Draws in one stroke: with the pointer, or with arrows after Enter has put the pen down at the cross. */
export class FreehandTool extends Sketch {
  constructor(...given) {
    super(...given);
    this.down = false; // whether the pen is, by Enter
  }

  press({ x, y }) {
    this.down = false;
    this.points = [[x, y]];
  }

  drag({ x, y, px }) {
    const last = this.points.at(-1);
    if (last && Math.hypot(x - last[0], y - last[1]) >= STEP_PX * px) {
      this.points.push([x, y]);
      this.redraw();
    }
    return true;
  }

  drop({ px }) {
    this.points = simplified(this.points, ROUGH_PX * px);
    this.finish();
    return true;
  }

  release() {
    if (this.points.length < 3) this.leave();
  }

  leave() {
    this.down = false;
    super.leave();
  }

  /** A second finger moves the slide: what the first has begun is no stroke. */
  pinch() {
    this.leave();
  }

  /** Put the pen down, or lift it, which closes the outline. */
  enter({ x, y, px }, { repeat }) {
    if (repeat) return;
    this.down = !this.down;
    if (this.down) this.points = [[x, y]];
    else this.drop({ px });
  }

  /** Draw a px of the screen with the pen that is down, or ten: the slide moves beneath it. */
  arrow(key, { shiftKey }, view) {
    if (!this.down) return false;
    view.move(...arrowStep(key, shiftKey));
    const { x, y } = view.centre;
    this.points.push([x, y]);
    this.redraw();
    return true;
  }
}

export class RegionTool {
  /** Takes regions of the map that `map()` gives the path of; `taken` is called with each, `failed` with why not. */
  constructor(map, { taken, failed }) {
    Object.assign(this, { map, taken, failed });
  }

  click(place) {
    this.take(place);
    return true;
  }

  enter(place) {
    this.take(place);
  }

  async take({ x, y }) {
    const path = this.map();
    try {
      const { region } = await ask(`${path}/region?${new URLSearchParams({ x, y })}`);
      if (path !== this.map()) return;
      if (region) this.taken(region);
      else this.failed("The map has no tile here");
    } catch (error) {
      this.failed(error.message);
    }
  }
}
