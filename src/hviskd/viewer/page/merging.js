// Joins what two people drew on a slide at the same time.

/** Return `theirs` with what was done to `mine` since both were as `before`: without the outlines that are changed or
 *  removed there, and with the new and the changed ones on top. What both changed is there as each of them has it. */
export function together(before, mine, theirs) {
  const [had, have, given] = [before, mine, theirs].map((regions) => new Set(regions.map(keyOf)));
  return [
    ...theirs.filter((region) => !had.has(keyOf(region)) || have.has(keyOf(region))),
    ...mine.filter((region) => !had.has(keyOf(region)) && !given.has(keyOf(region))),
  ];
}

/** Class, name and corners of an outline, the same wherever its rings begin and whichever way they run. */
function keyOf({ label, name, polygons }) {
  const sorted = polygons.map((rings) => rings.map((ring) => pairs(ring).sort().join(" ")).sort()).sort();
  return JSON.stringify([label, name, sorted]);
}

function pairs(ring) {
  return Array.from({ length: ring.length / 2 }, (_, at) => `${ring[2 * at]},${ring[2 * at + 1]}`);
}
