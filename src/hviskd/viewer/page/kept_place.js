// The part of the page's address that says what is looked at, so that a kept address reopens the view.

/** What the address says: the slide's key, x and y in level-0 px, the power, all optional. */
export function readPlace() {
  const said = new URLSearchParams(location.hash.slice(1));
  const number = (name) => (said.has(name) && Number.isFinite(Number(said.get(name))) ? Number(said.get(name)) : null);
  return { slide: said.get("slide"), x: number("x"), y: number("y"), power: number("power") };
}

let waiting = 0;

/** Write what is looked at into the address, at most four times a second, without a step in the history. */
export function keepPlace(view) {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    const { x, y } = view.centre;
    const said = new URLSearchParams({
      slide: view.facts.key, x: Math.round(x), y: Math.round(y), power: Number(view.power.toPrecision(4)),
    });
    history.replaceState(null, "", `#${said}`);
  }, 250);
}
