// Outlines as numbers: rings are flat lists x, y, x, y … in level-0 px; the first of a polygon's is its border.

const round = (number) => Math.round(100 * number) / 100;

/** The corners of a line without those that lie nearer than `tolerance` to it (Douglas and Peucker 1973). */
export function simplified(points, tolerance) {
  const kept = new Uint8Array(points.length);
  kept[0] = kept[points.length - 1] = 1;
  const waiting = [[0, points.length - 1]];
  while (waiting.length) {
    const [first, last] = waiting.pop();
    let farthest = -1, most = tolerance;
    for (let at = first + 1; at < last; at += 1) {
      const away = fromPiece(points[at], points[first], points[last]).away;
      if (away > most) [farthest, most] = [at, away];
    }
    if (farthest < 0) continue;
    kept[farthest] = 1;
    waiting.push([first, farthest], [farthest, last]);
  }
  return points.filter((_, at) => kept[at]);
}

/** A closed outline of corners [x, y], those cut to what may be drawn on. */
export function ringOf(points, [left, top, right, bottom]) {
  return points.flatMap(([x, y]) => [round(Math.min(Math.max(x, left), right)), round(Math.min(Math.max(y, top), bottom))]);
}

/** How many px² an outline covers; holes do not count. */
export function areaOf(region) {
  return region.polygons.reduce((sum, [border, ...holes]) => sum + Math.abs(turned(border)) - holes.reduce((s, hole) => s + Math.abs(turned(hole)), 0), 0);
}

/** Left, top, right and bottom of an outline. */
export function boundsOf(region) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (const { x, y } of corners(region)) {
    box[0] = Math.min(box[0], x); box[1] = Math.min(box[1], y);
    box[2] = Math.max(box[2], x); box[3] = Math.max(box[3], y);
  }
  return box;
}

/** Whether a place lies in an outline. */
export function inside(region, x, y) {
  let odd = false;
  for (const ring of region.polygons.flat()) {
    for (let at = 0, before = ring.length - 2; at < ring.length; before = at, at += 2) {
      const [ax, ay, bx, by] = [ring[at], ring[at + 1], ring[before], ring[before + 1]];
      if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) odd = !odd;
    }
  }
  return odd;
}

/** All corners of an outline: where each is, and its place in the lists. */
export function* corners(region) {
  for (let polygon = 0; polygon < region.polygons.length; polygon += 1) {
    for (let ring = 0; ring < region.polygons[polygon].length; ring += 1) {
      const numbers = region.polygons[polygon][ring];
      for (let at = 0; at < numbers.length; at += 2) yield { x: numbers[at], y: numbers[at + 1], polygon, ring, at };
    }
  }
}

/** The corner nearest to a place, no further than `reach`; or null. */
export function nearestCorner(region, x, y, reach) {
  let nearest = null, least = reach;
  for (const corner of corners(region)) {
    const away = Math.hypot(corner.x - x, corner.y - y);
    if (away <= least) [nearest, least] = [corner, away];
  }
  return nearest;
}

/** The place on the border nearest to a place, no further than `reach`, as a corner to insert; or null. */
export function nearestBorder(region, x, y, reach) {
  let nearest = null, least = reach;
  for (const corner of corners(region)) {
    const numbers = region.polygons[corner.polygon][corner.ring];
    const next = (corner.at + 2) % numbers.length;
    const on = fromPiece([x, y], [corner.x, corner.y], [numbers[next], numbers[next + 1]]);
    if (on.away <= least) [nearest, least] = [{ ...corner, x: on.x, y: on.y, at: corner.at + 2 }, on.away];
  }
  return nearest;
}

/** An outline with a corner elsewhere. */
export function moved(region, corner, x, y) {
  return changed(region, corner, (ring) => ring.splice(corner.at, 2, round(x), round(y)));
}

/** An outline with one corner more. */
export function inserted(region, corner) {
  return changed(region, corner, (ring) => ring.splice(corner.at, 0, round(corner.x), round(corner.y)));
}

/** An outline without a corner; of a triangle's ring, without the ring; null if nothing is left. */
export function without(region, corner) {
  const ring = region.polygons[corner.polygon][corner.ring];
  if (ring.length > 6) return changed(region, corner, (numbers) => numbers.splice(corner.at, 2));
  const polygons = corner.ring
    ? region.polygons.map((rings, place) => (place === corner.polygon ? rings.filter((_, at) => at !== corner.ring) : rings))
    : region.polygons.filter((_, place) => place !== corner.polygon);
  return polygons.length ? { ...region, polygons } : null;
}

function changed(region, { polygon, ring }, change) {
  const polygons = region.polygons.slice();
  polygons[polygon] = polygons[polygon].slice();
  polygons[polygon][ring] = polygons[polygon][ring].slice();
  change(polygons[polygon][ring]);
  return { ...region, polygons };
}

function fromPiece([x, y], [ax, ay], [bx, by]) {
  const [across, down] = [bx - ax, by - ay];
  const length2 = across ** 2 + down ** 2;
  const share = length2 ? Math.min(1, Math.max(0, ((x - ax) * across + (y - ay) * down) / length2)) : 0;
  const place = { x: ax + share * across, y: ay + share * down };
  return { ...place, away: Math.hypot(x - place.x, y - place.y) };
}

function turned(ring) {
  let sum = 0;
  for (let at = 0, before = ring.length - 2; at < ring.length; before = at, at += 2) sum += ring[before] * ring[at + 1] - ring[at] * ring[before + 1];
  return sum / 2;
}
