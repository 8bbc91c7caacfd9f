// Numbers as a reader wants them.

/** A length in µm, in µm or mm. */
export function length(um) {
  return um >= 1000 ? `${plain(um / 1000)} mm` : `${plain(um)} µm`;
}

/** A number with three significant digits and no exponent. */
export function plain(number) {
  return Number(number.toPrecision(3)).toLocaleString("en", { maximumFractionDigits: 6 });
}

/** An area in mm², as precise as it is large. */
export function area(mm2) {
  if (mm2 > 0 && mm2 < 0.005) return "<0.01";
  return mm2.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
}

/** Whether a key was pressed where one writes or chooses. */
export function inField(event) {
  return Boolean(event.target.closest("input, select, textarea"));
}

/** An element with text, attributes and children. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("aria-")) made.setAttribute(key, String(value));
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}
