// A layer's line in the panel: a switch, what is chosen, the opacity and the key.

import { css } from "./colouring.js";
import { keyOf } from "./layer_key.js";
import { element } from "./words.js";

/** Make the controls of a layer; they change the state of `layers` and ask it to show itself anew. */
export function layerControl(kind, layers) {
  const state = layers.state[kind.id];
  const line = element("li", {}, element("div", { class: "line" }, toggle(kind, layers), ...choice(kind, layers)));
  if (!state.on) return line;
  line.append(slider(kind, layers));
  const key = keyOf(kind, layers);
  if (key) line.append(key.scale ? scaleKey(kind, key.scale, layers) : rowsKey(key));
  return line;
}

function toggle({ id, title }, layers) {
  const box = element("input", { type: "checkbox", id: `layer-${id}`, checked: layers.state[id].on });
  box.addEventListener("change", () => {
    layers.state[id].on = box.checked;
    layers.show();
  });
  return element("label", { for: `layer-${id}` }, box, title);
}

function slider({ id, title }, layers) {
  const state = layers.state[id];
  const range = element("input", {
    type: "range", min: 0, max: 100, step: 5, value: Math.round(100 * state.opacity), id: `opacity-${id}`,
    "aria-label": `Opacity of ${title}`,
  });
  const said = element("span", { class: "number" }, `${range.value} %`);
  range.addEventListener("input", () => {
    state.opacity = Number(range.value) / 100;
    said.textContent = `${range.value} %`;
    layers.update();
  });
  return element("div", { class: "opacity" }, range, said);
}

function choice({ id }, layers) {
  if (id === "class") {
    const select = element("select", { id: "shown-class", "aria-label": "Class whose probability is shown" });
    select.append(...layers.map.classes.map((name, place) => new Option(name, place)));
    select.value = layers.state.shownClass;
    select.addEventListener("change", () => layers.choose({ shownClass: Number(select.value) }));
    return [select];
  }
  if (id === "unsure") {
    const number = element("input", {
      type: "number", min: 0, max: 1, step: 0.05, value: layers.unsureBelow, id: "unsure-below",
      "aria-label": "Threshold of the top probability",
    });
    number.addEventListener("change", () => {
      const below = Number(number.value);
      if (number.value !== "" && below >= 0 && below <= 1) layers.choose({ unsureBelow: below });
      else number.value = layers.unsureBelow;
    });
    return [element("span", { class: "soft" }, "below"), number];
  }
  return [];
}

function rowsKey({ rows, words }) {
  const parts = rows.map(({ colour, text, line }) => {
    const swatch = element("i", { class: line ? "swatch hollow" : "swatch" });
    swatch.style[line ? "borderColor" : "background"] = css(colour);
    return element("span", {}, swatch, text);
  });
  return element("p", { class: "key" }, ...parts, words ? element("span", {}, words) : "");
}

function scaleKey({ id }, { colours, least, most }, layers) {
  const bar = element("canvas", { width: colours.length, height: 1, "aria-hidden": true });
  const context = bar.getContext("2d");
  colours.forEach((colour, at) => {
    context.fillStyle = css(colour);
    context.fillRect(at, 0, 1, 1);
  });
  const smooth = element("input", { type: "checkbox", id: `smooth-${id}`, checked: layers.state.smooth });
  smooth.addEventListener("change", () => layers.choose({ smooth: smooth.checked }));
  return element("div", { class: "scale-key" }, element("span", {}, least), bar, element("span", {}, most), element("label", {}, smooth, "Smooth"));
}
