// Paints what is being drawn: outlines, the selected one with its corners, the line that has begun, and the crosshair.

import { css } from "./colouring.js";
import { corners } from "./geometry.js";
import { pathOf, strokeOnRim } from "./outline_path.js";
import { CLOSE_PX } from "./sketching.js";

const MOST_HANDLES = 3000;
const paths = new WeakMap();

/** Paint outlines; `held` stands for the selected one while it is dragged. */
export function paintDrawing(context, place, { regions, selected, corner }, held) {
  for (const region of regions) {
    if (region === selected) continue;
    strokeRegion(context, place, region, 2.5);
  }
  if (!selected) return;
  const shown = held ?? selected;
  strokeRegion(context, place, shown, 3.5, 0.16);
  paintCorners(context, place, shown, corner);
}

/** Paint the line that was begun, to where the pointer is. */
export function paintSketch(context, { left, top, scale }, points, pointer, colour) {
  if (!points.length) return;
  const line = pointer ? [...points, pointer] : points;
  const ratio = devicePixelRatio;
  for (const [width, style] of [[5, "rgb(255 255 255 / 0.8)"], [2.5, css(colour)]]) {
    context.lineWidth = width * ratio;
    context.lineJoin = "round";
    context.strokeStyle = style;
    context.beginPath();
    line.forEach(([x, y], at) => context[at ? "lineTo" : "moveTo"](left + x * scale, top + y * scale));
    context.stroke();
  }
  const [[x, y]] = points;
  const closes = pointer && points.length > 2 && Math.hypot(pointer[0] - x, pointer[1] - y) * scale < CLOSE_PX * ratio;
  dot(context, left + x * scale, top + y * scale, (closes ? 8 : 5) * ratio, css(colour));
}

/** Paint a cross in the middle, where keys act. */
export function paintCross(context) {
  const { width, height } = context.canvas;
  const ratio = devicePixelRatio, [x, y] = [width / 2, height / 2];
  for (const [line, style] of [[5, "rgb(255 255 255 / 0.9)"], [2, "rgb(0 0 0)"]]) {
    context.lineWidth = line * ratio;
    context.strokeStyle = style;
    context.beginPath();
    for (const [across, down] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + 4 * across * ratio, y + 4 * down * ratio);
      context.lineTo(x + 14 * across * ratio, y + 14 * down * ratio);
    }
    context.stroke();
  }
}

function strokeRegion(context, { left, top, scale }, region, width, filled = 0) {
  const path = keptPath(region);
  context.save();
  context.setTransform(scale, 0, 0, scale, left, top);
  context.lineJoin = "round";
  if (filled) {
    context.globalAlpha = filled;
    context.fillStyle = css(region.colour);
    context.fill(path, "evenodd");
    context.globalAlpha = 1;
  }
  strokeOnRim(context, path, region.colour, width, scale);
  context.restore();
}

function paintCorners(context, { left, top, scale }, region, chosen) {
  const { width, height } = context.canvas;
  let painted = 0;
  for (const { x, y } of corners(region)) {
    const [across, down] = [left + x * scale, top + y * scale];
    if (across < 0 || down < 0 || across > width || down > height) continue;
    if ((painted += 1) > MOST_HANDLES) break;
    dot(context, across, down, 4 * devicePixelRatio, css(region.colour));
  }
  if (chosen) dot(context, left + chosen.x * scale, top + chosen.y * scale, 7 * devicePixelRatio, "rgb(0 0 0)", css(region.colour));
}

function dot(context, x, y, radius, rim, filling = "rgb(255 255 255)") {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = filling;
  context.fill();
  context.lineWidth = 2 * devicePixelRatio;
  context.strokeStyle = rim;
  context.stroke();
}

function keptPath(region) {
  if (!paths.has(region)) paths.set(region, pathOf(region.polygons.flat()));
  return paths.get(region);
}
