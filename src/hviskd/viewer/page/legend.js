// The legend of a map: its classes with colour, area and share; a click hides or shows one.

import { css } from "./colouring.js";
import { area, element } from "./words.js";

export function showLegend(layers) {
  const section = document.getElementById("legend-section");
  const map = layers.map;
  section.hidden = !map;
  if (!map) return;
  const total = map.areas_mm2.reduce((sum, each) => sum + each, 0);
  const rows = map.classes.map((name, place) => row(layers, name, place, map.areas_mm2[place], total));
  document.getElementById("legend").replaceChildren(...rows);
  const px = map.stride_px === map.tile_px ? "" : `, every ${map.stride_px} px`;
  document.getElementById("legend-total").textContent =
    `${map.tiles.toLocaleString("en")} tiles of ${map.tile_px} px at ${map.mpp} µm/px${px}; ` +
    `${area(total)} mm² classified, ${area(map.tissue_mm2)} mm² of tissue`;
  chooseMap(layers);
}

function chooseMap(layers) {
  const select = document.getElementById("map-choice");
  select.parentElement.hidden = layers.facts.maps.length < 2;
  select.replaceChildren(...layers.facts.maps.map((map, place) => new Option(map.name, place)));
  select.value = layers.state.map;
  select.onchange = () => layers.choose({ map: Number(select.value) });
  document.getElementById("legend-title").textContent = `Map by ${layers.map.name}`;
}

function row(layers, name, place, mm2, total) {
  const swatch = element("i", { class: "swatch", "aria-hidden": true });
  swatch.style.background = css(layers.map.colours[place]);
  const share = total ? `${((100 * mm2) / total).toFixed(1)} %` : "–";
  const shown = !layers.hidden.has(place);
  const button = element(
    "button", { type: "button", "aria-pressed": shown, title: shown ? `Hide ${name}` : `Show ${name}` },
    swatch, element("span", { class: "name" }, name), element("span", { class: "number" }, area(mm2)),
    element("span", { class: "number" }, share),
  );
  button.addEventListener("click", () => {
    layers.toggleClass(place);
    document.querySelectorAll("#legend button")[place].focus();
  });
  return element("li", {}, button);
}
