// Outlines on the canvas: their shape, and how their lines look wherever they are painted.

import { css } from "./colouring.js";

/** The shape of rings, each a flat list x, y, x, y …, in the px of those. */
export function pathOf(rings) {
  const path = new Path2D();
  for (const ring of rings) {
    path.moveTo(ring[0], ring[1]);
    for (let at = 2; at < ring.length; at += 2) path.lineTo(ring[at], ring[at + 1]);
    path.closePath();
  }
  return path;
}

/** Stroke a path in a colour on a pale rim; `width` is in px of the screen, `scale` that of the context. */
export function strokeOnRim(context, path, colour, width, scale) {
  for (const [wide, style] of [[width + 2.5, "rgb(255 255 255 / 0.75)"], [width, css(colour)]]) {
    context.lineWidth = (wide * devicePixelRatio) / scale;
    context.strokeStyle = style;
    context.stroke(path);
  }
}
