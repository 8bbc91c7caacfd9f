// What the colours of a layer mean: shown beside its switch, and below a saved picture.

import { paletteColour } from "./colouring.js";
import { keyOfTiles } from "./tile_boxes.js";
import { plain } from "./words.js";

/** What the bytes of a layer stand for from 0 on, and the names of their colours. */
const MEANT = {
  tissue: [["pink", "tissue"], ["green", "marker ink, left out"]],
  disagreement: [["sky", "map and expert agree"], ["vermilion", "they do not"]],
};
const BORDER = [0, 0, 0]; // of cells

/** The colours of a layer whose bytes stand for one thing each, in their order; null for others. */
export function meantColours(id) {
  return MEANT[id]?.map(([name]) => paletteColour(name)) ?? null;
}

/** The key of a layer: `rows` of a colour and what it stands for, where `line` says that it is that of lines; `scale`
 *  with its 256 colours and both ends; `words` on more. Null for classes, whose key is the legend, and for what is not
 *  here yet. */
export function keyOf({ id, smooths }, layers) {
  if (smooths) {
    const most = id === "class" ? "1" : `${plain(Math.log2(layers.map.classes.length))} bits`;
    return layers.scale && { rows: [], scale: { colours: layers.scale, least: "0", most } };
  }
  if (MEANT[id]) return { rows: MEANT[id].map(([name, text]) => ({ colour: paletteColour(name), text })) };
  if (id === "unsure") return { rows: [{ colour: layers.map.unsure_colour, text: `top probability below ${plain(layers.unsureBelow)}` }] };
  if (id === "grid") return { rows: [{ colour: BORDER, text: "borders of classified cells", line: true }] };
  if (id === "outlines") return ofOutlines(layers.outlined());
  return id === "tiles" ? ofTiles(layers.made.get("tiles")) : null;
}

/** What a layer is called where no choice stands beside its name. */
export function titleOf({ id, title }, layers) {
  return id === "class" ? `${title} ${layers.map.classes[layers.state.shownClass]}` : title;
}

function ofOutlines(classes) {
  return classes.length ? { rows: classes.map(({ name, colour }) => ({ colour, text: name, line: true })) } : null;
}

function ofTiles(boxes) {
  if (!boxes?.drawing) return null;
  const { words, splits } = keyOfTiles(boxes);
  return { rows: words.map(([colour, text]) => ({ colour, text })), words: splits };
}
