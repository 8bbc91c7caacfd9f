// What is known of the slide, in the panel.

import { element, length, plain } from "./words.js";

export function showFacts(facts) {
  const size = `${facts.width_px.toLocaleString("en")} × ${facts.height_px.toLocaleString("en")} px`;
  const sides = [facts.width_px, facts.height_px].map((side) => length(side * facts.mpp)).join(" × ");
  const rows = [
    ["Size", sides],
    ["", size],
    ["Pixel size", `${plain(facts.mpp)} µm/px`],
    ["Objective", facts.magnification === null ? "not recorded" : `${plain(facts.magnification)}×`],
    ["Format", facts.vendor],
    ["Colours", facts.icc ?? "no ICC profile"],
  ];
  const cells = rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
  document.getElementById("facts").replaceChildren(...cells);
  document.getElementById("notes").replaceChildren(...facts.notes.map((note) => element("li", {}, note)));
}
