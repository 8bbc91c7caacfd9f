// What is said of a place: the tile there, the probabilities of every model, where a model looks, the expert's class.

import { ask } from "./asking.js";
import { css } from "./colouring.js";
import { element, plain } from "./words.js";

const by = (id) => document.getElementById(id);

export class Here {
  /** Answers about places of a slide, whose facts `facts()` gives; `marked` is called when another tile is marked,
   *  `asks()` says whether a click is a question. */
  constructor(facts, marked, asks) {
    this.facts = facts;
    this.marked = marked;
    this.asks = asks;
    this.said = null;
    this.asked = 0;
    this.explained = { name: null, label: null };
    by("here-close").addEventListener("click", () => this.close());
    by("here-model").addEventListener("change", () => this.explain({ name: by("here-model").value, label: null }));
    by("here-class").addEventListener("change", () => this.explain({ label: by("here-class").value }));
  }

  /** Ask about what is clicked in a view. */
  watch(view) {
    view.osd.addHandler("canvas-click", (event) => {
      if (!event.quick || !view.facts || !this.asks()) return;
      const viewport = view.osd.viewport;
      const { x, y } = viewport.viewportToImageCoordinates(viewport.pointFromPixel(event.position, true));
      this.ask(x, y);
    });
  }

  /** Ask about a place in level-0 px. */
  async ask(x, y) {
    const facts = this.facts();
    if (!facts) return;
    const inside = x >= 0 && y >= 0 && x < facts.width_px && y < facts.height_px;
    if (!facts.asks || !inside) {
      this.close();
      return;
    }
    const mine = ++this.asked;
    by("here-section").hidden = false;
    by("here-section").setAttribute("aria-busy", true);
    by("here-place").textContent = "asking …";
    try {
      const said = await ask(`/slides/${facts.key}/at?${new URLSearchParams({ x, y })}`);
      if (mine !== this.asked) return;
      this.said = said;
      this.show();
    } catch (error) {
      if (mine === this.asked) {
        this.said = null;
        by("here-place").textContent = "";
        by("here-problem").textContent = error.message;
      }
    } finally {
      if (mine === this.asked) by("here-section").setAttribute("aria-busy", false);
    }
    this.marked();
  }

  close() {
    this.asked += 1;
    this.said = null;
    by("here-section").hidden = true;
    this.marked();
  }

  /** The tile of the first answer that has one. */
  get tile() {
    return this.said?.opinions.find(({ tile }) => tile)?.tile ?? null;
  }

  /** Mark the tile on the slide. */
  paint(context, { left, top, scale }) {
    if (!this.tile) return;
    const { x_px, y_px, side0_px } = this.tile;
    const box = [left + x_px * scale, top + y_px * scale, side0_px * scale, side0_px * scale];
    for (const [width, colour] of [[5, "rgb(255 255 255)"], [2.5, "rgb(0 0 0)"]]) {
      context.lineWidth = width * devicePixelRatio;
      context.strokeStyle = colour;
      context.strokeRect(...box);
    }
  }

  show() {
    const { x, y, opinions, expert } = this.said;
    by("here-place").textContent = `x ${Math.round(x).toLocaleString("en")}, y ${Math.round(y).toLocaleString("en")} px`;
    by("here-problem").textContent = [...new Set(opinions.filter(({ problem }) => problem)
      .map(({ name, problem }) => `${name}: ${problem}`))].join("; ");
    this.showTile();
    by("here-table").replaceChildren(...table(opinions));
    by("here-expert").replaceChildren(...expertsWords(expert, opinions));
  }

  /** The address of a picture of the tile, as one of those asked sees it. */
  picture({ place, name }, what) {
    const { x, y } = this.said;
    return `/slides/${this.facts().key}/at/${place}/${what}?${new URLSearchParams({ x, y, by: name })}`;
  }

  showTile() {
    const first = this.said.opinions.find(({ tile }) => tile);
    by("here-pictures").hidden = !first;
    if (!first) return;
    by("here-tile").src = this.picture(first, "tile");
    by("here-tile").alt = `The tile at this place, ${first.tile.tile_px} px`;
    by("here-tile-size").textContent = `${first.tile.tile_px} px at ${plain(first.tile.mpp)} µm/px`;
    this.explain({});
  }

  /** Show where a model looks for a class; at first the most probable one. */
  explain(wanted) {
    const able = this.said.opinions.filter(({ explains, tile, probabilities }) => explains && tile && probabilities);
    by("here-attention").hidden = !able.length;
    if (!able.length) return;
    Object.assign(this.explained, wanted);
    const one = able.find(({ name }) => name === this.explained.name) ?? able[0];
    const top = one.classes[one.probabilities.indexOf(Math.max(...one.probabilities))];
    const label = one.classes.includes(this.explained.label) ? this.explained.label : top;
    by("here-model").replaceChildren(...able.map(({ name }) => new Option(name, name, false, name === one.name)));
    by("here-model").hidden = able.length < 2;
    by("here-class").replaceChildren(...one.classes.map((name) => new Option(name, name, false, name === label)));
    by("here-cam").src = this.picture(one, `attention/${one.classes.indexOf(label)}`);
    by("here-cam").alt = `Where ${one.name} looks for ${label}`;
  }
}

/** The probabilities as a table: a row for each class, a column for each of those asked. */
function table(opinions) {
  const answered = opinions.filter(({ probabilities }) => probabilities);
  if (!answered.length) return [];
  const classes = new Map();
  for (const { classes: names, colours } of answered) names.forEach((name, at) => classes.set(name, classes.get(name) ?? colours[at]));
  const heads = answered.map(({ name, live }) =>
    element("th", { scope: "col", title: `${name}: ${live ? "computed now" : "from its map"}` }, name, element("span", { class: "soft" }, live ? "live" : "map")));
  const rows = [...classes].map(([name, colour]) => {
    const swatch = element("i", { class: "swatch", "aria-hidden": true });
    swatch.style.background = css(colour);
    const cells = answered.map((one) => cell(one, name, colour));
    return element("tr", {}, element("th", { scope: "row" }, element("span", {}, swatch, name)), ...cells);
  });
  return [element("thead", {}, element("tr", {}, element("td"), ...heads)), element("tbody", {}, ...rows)];
}

function cell({ classes, probabilities }, name, colour) {
  const at = classes.indexOf(name);
  if (at < 0) return element("td", {}, "–");
  const percent = 100 * probabilities[at];
  const bar = element("i", { class: "level", "aria-hidden": true });
  bar.style.width = `${percent}%`;
  bar.style.background = css(colour);
  const top = probabilities[at] === Math.max(...probabilities);
  return element("td", { class: top ? "top" : null }, element("span", {}, `${percent.toFixed(percent < 1 && percent > 0.05 ? 1 : 0)} %`), bar);
}

function expertsWords(expert, opinions) {
  if (!expert) return [];
  if (expert.problem) return [`Expert: ${expert.problem}`];
  const shares = expert.shares.filter(([, share]) => share >= 0.005).map(([name, share]) => `${name} ${(100 * share).toFixed(0)} %`).join(", ");
  const words = [element("strong", {}, `Expert: ${expert.class ?? "nothing drawn here"}`)];
  if (shares) words.push(` (of the tile: ${shares})`);
  if (expert.class) {
    const agreeing = opinions.filter(({ probabilities }) => probabilities).map(({ name, classes, probabilities }) => {
      const top = classes[probabilities.indexOf(Math.max(...probabilities))];
      return `${name} ${top.toLowerCase() === expert.class.toLowerCase() ? "agrees" : `says ${top}`}`;
    });
    if (agreeing.length) words.push(element("span", { class: "soft" }, `; ${agreeing.join(", ")}`));
  }
  return words;
}
