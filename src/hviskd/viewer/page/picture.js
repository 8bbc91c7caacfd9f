// Saves what is on the screen as a PNG, with legend, scale bar and what the program is not for.

import { css } from "./colouring.js";
import { roundLength } from "./scale_bar.js";
import { area, length } from "./words.js";

const MARGIN = 16, LINE = 20, FONT = "13px system-ui, sans-serif";

/** Draw the views with all that a reader needs on a canvas, white as paper. */
export function drawPicture(panes, notice) {
  const ratio = devicePixelRatio;
  const boxes = panes.list.map(({ element }) => element.getBoundingClientRect());
  const left = Math.min(...boxes.map((box) => box.left)), top = Math.min(...boxes.map((box) => box.top));
  const width = Math.max(...boxes.map((box) => box.right)) - left;
  const height = Math.max(...boxes.map((box) => box.bottom)) - top;
  const legends = panes.list.map(({ layers }) => legendOf(layers));
  const below = MARGIN + LINE * (3.5 + Math.max(...legends.map(({ rows }) => rows.length), 0));
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
  legends.forEach((legend, place) => drawLegend(context, legend, MARGIN + place * step, height + MARGIN + 1.5 * LINE));
  context.fillStyle = "#555555";
  context.fillText(notice, MARGIN, height + below - LINE / 2);
  return canvas;
}

/** Save the picture under the slide's name. */
export function savePicture(panes, notice) {
  const link = document.createElement("a");
  link.download = `${panes.facts.name.replace(/\.[^.]+$/, "")}-view.png`;
  link.href = drawPicture(panes, notice).toDataURL("image/png");
  link.click();
}

function legendOf(layers) {
  const map = layers.shownMap;
  if (!map) return { title: "slide", rows: [] };
  const total = map.areas_mm2.reduce((sum, each) => sum + each, 0);
  const rows = map.classes.map((name, place) => ({
    name, colour: map.colours[place], mm2: map.areas_mm2[place], share: total ? map.areas_mm2[place] / total : 0,
    hidden: layers.hidden.has(place),
  }));
  return { title: `map by ${map.name}`, rows: rows.filter(({ hidden, mm2 }) => !hidden && mm2 > 0) };
}

function drawLegend(context, { title, rows }, x, y) {
  context.fillStyle = "black";
  context.fillText(title, x, y);
  rows.forEach(({ name, colour, mm2, share }, place) => {
    const middle = y + LINE * (place + 1);
    context.fillStyle = css(colour);
    context.fillRect(x, middle - 6, 12, 12);
    context.strokeStyle = "#999999";
    context.strokeRect(x, middle - 6, 12, 12);
    context.fillStyle = "black";
    context.fillText(`${name}  ${area(mm2)} mm² (${(100 * share).toFixed(1)} %)`, x + 20, middle);
  });
}

function drawBar(context, view, y) {
  const um = roundLength(120 * view.umPerPx), long = um / view.umPerPx;
  context.fillStyle = "black";
  context.fillRect(MARGIN, y + 3, long, 3);
  context.fillText(length(um), MARGIN, y - 6);
}
