// The tool that selects an outline and moves, adds and removes its corners.

import { arrowStep } from "./arrows.js";
import { boundsOf, corners, inserted, inside, moved, nearestBorder, nearestCorner, without } from "./geometry.js";

const REACH_PX = 10; // of the screen

export class EditTool {
  /** Changes a Drawing; `show(region)` brings an outline onto the screen. */
  constructor(drawing, redraw, show) {
    Object.assign(this, { drawing, redraw, show });
    this.held = null; // the corner that is dragged, and the outline as it is now
  }

  leave() {
    this.held = null;
    this.drawing.select(null);
  }

  escape() {
    const { selected, corner } = this.drawing;
    if (corner) this.drawing.select(selected);
    else if (selected) this.drawing.select(null);
    return Boolean(selected);
  }

  /** Hold a corner of the selected outline, or a new one on its border. */
  press({ x, y, px }) {
    const { selected } = this.drawing;
    this.held = null;
    if (!selected) return;
    const corner = nearestCorner(selected, x, y, REACH_PX * px);
    if (corner) {
      this.held = { corner, region: selected, moved: false };
      return;
    }
    const between = nearestBorder(selected, x, y, REACH_PX * px);
    if (between) this.held = { corner: between, region: inserted(selected, between), moved: false };
  }

  drag({ x, y }) {
    if (!this.held) return false;
    const [left, top, right, bottom] = this.drawing.within;
    const place = [Math.min(Math.max(x, left), right), Math.min(Math.max(y, top), bottom)];
    this.held.region = moved(this.held.region, this.held.corner, ...place);
    this.held.moved = true;
    this.redraw();
    return true;
  }

  drop() {
    if (!this.held) return false;
    const { corner, region } = this.held;
    this.held = null;
    this.change(region, corner);
    return true;
  }

  release() {
    if (!this.held?.moved) this.held = null;
  }

  pinch() {
    this.held = null;
    this.redraw();
  }

  /** Select a corner, or the uppermost outline at a place. */
  click({ x, y, px }) {
    const { selected, regions } = this.drawing;
    const corner = selected && nearestCorner(selected, x, y, REACH_PX * px);
    if (corner) this.drawing.select(selected, corner);
    else {
      const there = regions.findLast((region) => inside(region, x, y) || nearestBorder(region, x, y, REACH_PX * px / 2));
      this.drawing.select(there ?? null);
    }
    return true;
  }

  enter(place) {
    this.click(place);
  }

  /** Remove the corner, or the whole outline where none is selected. */
  erase() {
    const { selected, corner } = this.drawing;
    if (!selected) return;
    const left = corner ? without(selected, corner) : null;
    if (left) this.drawing.replace(selected, left);
    else this.drawing.remove(selected);
  }

  /** Move the selected corner by a px of the screen, or ten. */
  arrow(key, event, view) {
    const { selected, corner } = this.drawing;
    if (!corner) return false;
    const [across, down] = arrowStep(key, event.shiftKey);
    const place = [corner.x + across / view.scale, corner.y + down / view.scale];
    this.change(moved(selected, corner, ...place), corner);
    return true;
  }

  key({ key }) {
    const { selected, corner, regions } = this.drawing;
    if (key === "j" || key === "k") this.choose(next(regions, selected, key === "j"));
    if (!selected) return;
    const all = [...corners(selected)];
    if (key === "," || key === ".") this.drawing.select(selected, next(all, all.find((each) => same(each, corner)), key === "."));
    if (key === "i" && corner) {
      const ring = selected.polygons[corner.polygon][corner.ring];
      const after = (corner.at + 2) % ring.length;
      const between = { ...corner, at: corner.at + 2, x: (corner.x + ring[after]) / 2, y: (corner.y + ring[after + 1]) / 2 };
      this.change(inserted(selected, between), between);
    }
  }

  choose(region) {
    if (!region) return;
    this.drawing.select(region);
    this.show(boundsOf(region));
  }

  /** Put a changed outline in the place of the selected one, and keep its corner selected. */
  change(region, corner) {
    this.drawing.replace(this.drawing.selected, region);
    this.drawing.select(region, [...corners(region)].find((each) => same(each, corner)) ?? null);
  }
}

function next(all, one, forward) {
  if (!all.length) return null;
  const at = all.indexOf(one);
  if (at < 0) return all[forward ? 0 : all.length - 1];
  return all[(at + (forward ? 1 : all.length - 1)) % all.length];
}

function same(one, other) {
  return Boolean(other) && one.polygon === other.polygon && one.ring === other.ring && one.at === other.at;
}
