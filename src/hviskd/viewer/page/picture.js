// Saves what is on the screen as a PNG, with legend, scale bar and what the program is not for.

import { css } from "./colouring.js";
import { keyOf, titleOf } from "./layer_key.js";
import { roundLength } from "./scale_bar.js";
import { area, length } from "./words.js";

const MARGIN = 16, LINE = 20, FONT = "13px system-ui, sans-serif", SOFT = "#555555";
const SCALE = 160; // px, the longest

/** Draw the views with all that a reader needs on a canvas, white as paper; `growing` is the map that fills on them. */
export function drawPicture(panes, notice, growing = null) {
  const ratio = devicePixelRatio;
  const boxes = panes.list.map(({ element }) => element.getBoundingClientRect());
  const left = Math.min(...boxes.map((box) => box.left)), top = Math.min(...boxes.map((box) => box.top));
  const width = Math.max(...boxes.map((box) => box.right)) - left;
  const height = Math.max(...boxes.map((box) => box.bottom)) - top;
  const legends = panes.list.map(({ layers }) => legendOf(layers, growing));
  const below = MARGIN + LINE * (2.5 + Math.max(...legends.map((rows) => rows.length)));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round((height + below) * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height + below);
  panes.list.forEach(({ view, layers }, place) => {
    const box = boxes[place];
    const at = [box.left - left, box.top - top, box.width, box.height];
    context.drawImage(view.osd.drawer.canvas, ...at);
    context.drawImage(layers.overlay.canvas, ...at);
  });
  context.font = FONT;
  context.textBaseline = "middle";
  drawBar(context, panes.first.view, height + MARGIN);
  context.fillStyle = "black";
  context.fillText(panes.facts.name, MARGIN + 200, height + MARGIN);
  const step = (width - 2 * MARGIN) / legends.length;
  legends.forEach((rows, place) => {
    drawLegend(context, rows, { x: MARGIN + place * step, y: height + MARGIN + 1.5 * LINE, width: step - MARGIN });
  });
  context.fillStyle = SOFT;
  context.fillText(notice, MARGIN, height + below - LINE / 2);
  return canvas;
}

/** Save the picture under the slide's name. */
export function savePicture(panes, notice, growing) {
  const link = document.createElement("a");
  link.download = `${panes.facts.name.replace(/\.[^.]+$/, "")}-view.png`;
  link.href = drawPicture(panes, notice, growing).toDataURL("image/png");
  link.click();
}

/** What a view shows, in words and colours: a title, then for each layer that is on its name and its key. */
function legendOf(layers, growing) {
  const map = layers.shownMap;
  const on = layers.kinds.filter(({ id }) => layers.state[id].on);
  const parts = on.flatMap((kind) => {
    if (kind.id === "classes") return classRows(layers);
    const key = keyOf(kind, layers);
    if (!key) return [];
    const { rows, scale, words } = key;
    return [{ text: titleOf(kind, layers), heading: true }, ...(scale ? [scale] : rows), ...(words ? [{ text: words }] : [])];
  });
  if (growing) parts.push({ text: `being mapped by ${growing.model}`, heading: true }, ...classRows({ map: growing, hidden: new Set() }));
  return [{ text: map ? `map by ${map.name}` : "slide" }, ...parts];
}

function classRows({ map, hidden }) {
  const total = map.areas_mm2.reduce((sum, each) => sum + each, 0);
  const rows = map.classes.map((name, place) => ({ name, place, colour: map.colours[place], mm2: map.areas_mm2[place] }));
  return rows.filter(({ place, mm2 }) => !hidden.has(place) && mm2 > 0).map(({ name, colour, mm2 }) => (
    { colour, text: `${name}  ${area(mm2)} mm² (${((100 * mm2) / total).toFixed(1)} %)` }));
}

function drawLegend(context, rows, { x, y, width }) {
  rows.forEach((row, place) => {
    const box = { x, y: y + LINE * place, width };
    if (row.colours) drawScale(context, row, box);
    else drawRow(context, row, box);
  });
}

function drawRow(context, { text, colour, line, heading }, { x, y, width }) {
  if (colour) {
    context.fillStyle = context.strokeStyle = css(colour);
    context.lineWidth = 3;
    if (line) context.strokeRect(x + 1.5, y - 4.5, 9, 9);
    else context.fillRect(x, y - 6, 12, 12);
    context.lineWidth = 1;
    context.strokeStyle = "#999999";
    if (!line) context.strokeRect(x, y - 6, 12, 12);
  }
  context.fillStyle = heading ? SOFT : "black";
  context.fillText(text, x + (colour ? 20 : 0), y, width - (colour ? 20 : 0));
}

function drawScale(context, { colours, least, most }, { x, y, width }) {
  const left = Math.round(x) + 14, long = Math.round(Math.min(SCALE, width - 80));
  for (let at = 0; at < long; at += 1) {
    context.fillStyle = css(colours[Math.round((at * (colours.length - 1)) / (long - 1))]);
    context.fillRect(left + at, y - 6, 1, 12);
  }
  context.fillStyle = "black";
  context.fillText(least, x, y);
  context.fillText(most, left + long + 6, y);
}

function drawBar(context, view, y) {
  const um = roundLength(120 * view.umPerPx), long = um / view.umPerPx;
  context.fillStyle = "black";
  context.fillRect(MARGIN, y + 3, long, 3);
  context.fillText(length(um), MARGIN, y - 6);
}
