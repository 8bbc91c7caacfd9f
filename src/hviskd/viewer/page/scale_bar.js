// The scale bar: the longest round length that fits.

import { length } from "./words.js";

const LONGEST_PX = 160;

/** The largest of 1, 2, 5, 10, 20, … that is no larger than this. */
export function roundLength(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return power * Math.max(...[1, 2, 5].filter((digit) => digit * power <= most * (1 + 1e-9)));
}

/** Draw it for a screen on which one px is so many µm. */
export function drawScaleBar(umPerPx) {
  const um = roundLength(LONGEST_PX * umPerPx);
  const box = document.getElementById("scale");
  document.getElementById("scale-text").textContent = length(um);
  document.getElementById("scale-line").style.width = `${um / umPerPx}px`;
  box.setAttribute("aria-label", `Scale bar: ${length(um)}`);
  box.dataset.um = um;
}
