// From a cell's byte to its colour: tables of 256 colours, so that a switch recolours without asking the viewer.

export const NONE = 255;

/** A table of 256 colours from a function of the byte that gives [red, green, blue, alpha] or nothing. */
export function table(colourOf) {
  const rgba = new Uint8ClampedArray(4 * 256);
  for (let byte = 0; byte < 256; byte += 1) rgba.set(colourOf(byte) ?? [0, 0, 0, 0], 4 * byte);
  return new Uint32Array(rgba.buffer);
}

/** Classes in their colours, but for those that are hidden. */
export function classTable(colours, hidden) {
  return table((byte) => (byte < colours.length && !hidden.has(byte) ? [...colours[byte], 255] : null));
}

/** Values from 0 to 1, stored as 1 + 254 v, on a scale of 256 colours. */
export function scaleTable(scale) {
  return table((byte) => (byte ? [...scale[Math.round(((byte - 1) / 254) * 255)], 255] : null));
}

/** One colour where a value, stored so, is below a threshold. */
export function belowTable(threshold, colour) {
  return table((byte) => (byte && (byte - 1) / 254 < threshold ? [...colour, 255] : null));
}

/** A colour for each byte from 0 on. */
export function listTable(...colours) {
  return table((byte) => (colours[byte] ? [...colours[byte], 255] : null));
}

/** The red, green and blue of `--NAME`, one of the palette's colours. */
export function paletteColour(name) {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

/** A colour of three bytes as CSS has it. */
export function css(colour) {
  return `rgb(${colour.join(" ")})`;
}
