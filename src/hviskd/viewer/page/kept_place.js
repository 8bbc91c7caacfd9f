// The part of the page's address that says what is looked at, so that a kept address reopens the view.

/** Return what the address names: slide, place, power, how many views; and `said`, all of its words. */
export function readPlace() {
  const said = new URLSearchParams(location.hash.slice(1));
  const views = number(said, "views");
  return {
    said, slide: said.get("slide"), x: number(said, "x"), y: number(said, "y"), power: number(said, "power"),
    views: Number.isInteger(views) && views >= 1 && views <= 4 ? views : 1,
  };
}

/** Take the layers that an address's words name for a view into `state`; what makes no sense is left out. */
export function readLayers(said, state, view = 0) {
  const end = ending(view);
  if (said.has(`layers${end}`)) {
    const on = new Map(said.get(`layers${end}`).split(",").map((each) => each.split(":")));
    for (const [id, layer] of layersOf(state)) {
      const opacity = Number(on.get(id)) / 100;
      layer.on = on.has(id);
      if (opacity >= 0 && opacity <= 1) layer.opacity = opacity;
    }
  }
  for (const name of ["map", "shownClass"]) {
    const given = number(said, name + end);
    if (Number.isInteger(given) && given >= 0) state[name] = given;
  }
  const below = number(said, `unsureBelow${end}`);
  if (below !== null && below >= 0 && below <= 1) state.unsureBelow = below;
  if (said.has(`smooth${end}`)) state.smooth = said.get(`smooth${end}`) === "1";
}

let waiting = 0;

/** Write what is looked at into the address, at most four times a second, without a step in the history. */
export function keepPlace(view, states) {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    if (view.facts) history.replaceState(null, "", `#${written(view, states)}`);
  }, 250);
}

function written(view, states) {
  const { x, y } = view.centre;
  const said = new URLSearchParams({
    slide: view.facts.key, x: Math.round(x), y: Math.round(y), power: Number(view.power.toPrecision(4)),
  });
  if (states.length > 1) said.set("views", states.length);
  states.forEach((state, place) => {
    const end = ending(place);
    const on = layersOf(state).filter(([, layer]) => layer.on);
    said.set(`layers${end}`, on.map(([id, layer]) => `${id}:${Math.round(100 * layer.opacity)}`).join(","));
    for (const name of ["map", "shownClass"]) if (state[name]) said.set(name + end, state[name]);
    if (state.unsureBelow !== null) said.set(`unsureBelow${end}`, state.unsureBelow);
    if (state.smooth) said.set(`smooth${end}`, "1");
  });
  return said.toString().replaceAll("%3A", ":").replaceAll("%2C", ",");
}

function number(said, name) {
  return said.has(name) && Number.isFinite(Number(said.get(name))) ? Number(said.get(name)) : null;
}

/** The ending of the names of a view's settings: none for the first. */
function ending(view) {
  return view ? `-${view + 1}` : "";
}

function layersOf(state) {
  return Object.entries(state).filter(([, value]) => value && typeof value === "object");
}
