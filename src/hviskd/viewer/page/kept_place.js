// The part of the page's address that says what is looked at, so that a kept address reopens the view.

/** Return the place that the address names, and take its layers into `state`; what makes no sense is left out. */
export function readPlace(state) {
  const said = new URLSearchParams(location.hash.slice(1));
  const number = (name) => (said.has(name) && Number.isFinite(Number(said.get(name))) ? Number(said.get(name)) : null);
  if (said.has("layers")) {
    const on = new Map(said.get("layers").split(",").map((each) => each.split(":")));
    for (const [id, layer] of layersOf(state)) {
      const opacity = Number(on.get(id)) / 100;
      layer.on = on.has(id);
      if (opacity >= 0 && opacity <= 1) layer.opacity = opacity;
    }
  }
  for (const name of ["map", "shownClass"]) if (Number.isInteger(number(name)) && number(name) >= 0) state[name] = number(name);
  if (number("unsureBelow") >= 0 && number("unsureBelow") <= 1) state.unsureBelow = number("unsureBelow");
  state.smooth = said.get("smooth") === "1";
  return { slide: said.get("slide"), x: number("x"), y: number("y"), power: number("power") };
}

let waiting = 0;

/** Write what is looked at into the address, at most four times a second, without a step in the history. */
export function keepPlace(view, state) {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    if (view.facts) history.replaceState(null, "", `#${said(view, state)}`);
  }, 250);
}

function said(view, state) {
  const { x, y } = view.centre;
  const on = layersOf(state).filter(([, layer]) => layer.on);
  const words = new URLSearchParams({
    slide: view.facts.key, x: Math.round(x), y: Math.round(y), power: Number(view.power.toPrecision(4)),
    layers: on.map(([id, layer]) => `${id}:${Math.round(100 * layer.opacity)}`).join(","),
  });
  for (const name of ["map", "shownClass"]) if (state[name]) words.set(name, state[name]);
  if (state.unsureBelow !== null) words.set("unsureBelow", state.unsureBelow);
  if (state.smooth) words.set("smooth", "1");
  return words.toString().replaceAll("%3A", ":").replaceAll("%2C", ",");
}

function layersOf(state) {
  return Object.entries(state).filter(([, value]) => value && typeof value === "object");
}
