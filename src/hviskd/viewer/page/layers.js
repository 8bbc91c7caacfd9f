// The layers of a slide: which there are, which are on, how each is coloured; and their controls in the panel.

import { ask } from "./asking.js";
import { belowTable, classTable, listTable, scaleTable } from "./colouring.js";
import { GridLayer } from "./grid_layer.js";
import { layerControl } from "./layer_controls.js";
import { meantColours } from "./layer_key.js";
import { OutlineLayer, drawTileGrid, forgetDrawing } from "./line_layers.js";
import { Overlay } from "./overlay.js";
import { TileBoxes } from "./tile_boxes.js";

const UNSURE_BELOW = 0.6;

/** What each layer is called, what it needs, and how it begins. From the lowest to the uppermost. */
const KINDS = [
  { id: "classes", title: "Classes", needs: "map", on: true, opacity: 0.55 },
  { id: "class", title: "Probability of", needs: "map", opacity: 0.7, smooths: true },
  { id: "entropy", title: "Entropy", needs: "map", opacity: 0.7, smooths: true },
  { id: "unsure", title: "Unsure", needs: "map", opacity: 0.8 },
  { id: "disagreement", title: "Disagreement with the expert", needs: "both", opacity: 0.6 },
  { id: "tissue", title: "Tissue", needs: "slide", opacity: 0.35 },
  { id: "grid", title: "Tile grid", needs: "map", opacity: 0.6 },
  { id: "tiles", title: "Tiles of the TileSet", needs: "cut", on: true, opacity: 0.8 },
  { id: "outlines", title: "Expert's outlines", needs: "drawn", on: true, opacity: 1 },
];

const OF_MAPS = new Set(["map", "both"]);
const MADE_BY = { outlines: OutlineLayer, tiles: TileBoxes }; // all others are grids

export class Layers {
  /** Layers over a view; `changed` is called when a setting changes, `failed` with what cannot be shown. */
  constructor(view, { changed, failed }) {
    this.view = view;
    this.changed = changed;
    this.failed = failed;
    this.reset();
    this.controlled = true; // whether the panel shows its controls
    this.hidden = new Set();
    this.made = new Map();
    this.facts = null;
    this.scale = null;
    this.above = null; // draws on top of all layers
    this.drawnOver = () => false; // whether the outlines are drawn there
    this.beingDrawn = () => []; // outlines that are
    this.overlay = new Overlay(view, (context, place) => this.paint(context, place));
  }

  /** Begin as layers of a page that was just opened. */
  reset() {
    this.state = Object.fromEntries(KINDS.map(({ id, on, opacity }) => [id, { on: Boolean(on), opacity }]));
    Object.assign(this.state, { map: 0, shownClass: 0, unsureBelow: null, smooth: false });
    this.follows = false; // whether other layers came first, which show the first map
  }

  /** Show the layers of another slide. */
  open(facts) {
    this.facts = facts;
    this.made.clear();
    this.hidden.clear();
    if (this.state.map >= facts.maps.length) {
      this.state.map = 0;
      if (this.follows) this.hideMap();
    }
    if (this.map && this.state.shownClass >= this.map.classes.length) this.state.shownClass = 0;
    this.show();
  }

  close() {
    this.facts = null;
    this.made.clear();
    this.overlay.redraw();
  }

  get map() {
    return this.facts?.maps[this.state.map] ?? null;
  }

  /** The map that a layer shows something of, or null. */
  get shownMap() {
    const on = this.facts ? this.kinds.filter(({ id, needs }) => OF_MAPS.has(needs) && this.state[id].on) : [];
    return on.length ? this.map : null;
  }

  /** Begin as other layers are, but with a later map; without layers of maps where there is none. */
  takeOver(other, step) {
    this.state = structuredClone(other.state);
    const later = this.state.map + step;
    const last = (other.facts?.maps.length ?? Infinity) - 1;
    this.follows = true;
    if (later <= last) this.state.map = later;
    else this.hideMap();
  }

  hideMap() {
    for (const { id, needs } of KINDS) if (OF_MAPS.has(needs) || needs === "slide") this.state[id].on = false;
  }

  get unsureBelow() {
    return this.state.unsureBelow ?? this.map?.unsure_below ?? UNSURE_BELOW;
  }

  /** Which layers the slide has. */
  get kinds() {
    const has = { map: Boolean(this.map), drawn: this.facts.drawn, cut: this.facts.cut, both: Boolean(this.map) && this.facts.drawn };
    return KINDS.filter(({ needs }) => needs === "slide" || has[needs]);
  }

  /** Draw controls and layers anew after a change of settings. */
  show() {
    if (this.controlled) {
      const list = document.getElementById("layer-list");
      const focused = list.contains(document.activeElement) && document.activeElement.id;
      list.replaceChildren(...this.kinds.map((kind) => layerControl(kind, this)));
      if (focused) document.getElementById(focused)?.focus();
    }
    this.update();
  }

  /** The classes of the outlines on the screen, with the colours of their lines. */
  outlined() {
    const known = this.drawnOver() ? [] : this.made.get("outlines")?.drawing?.classes ?? [];
    const all = [...known, ...this.beingDrawn().map(({ label, colour }) => ({ name: label, colour }))];
    return [...new Map(all.map((each) => [each.name, each])).values()];
  }

  /** Draw the layers anew, and tell of the change. */
  update() {
    for (const [id, layer] of this.made) if (layer.setColours) layer.setColours(this.coloursOf(id));
    this.overlay.redraw();
    this.changed(this);
  }

  /** Ask anew for what depends on the expert's outlines. */
  drawnAnew() {
    if (!this.facts) return;
    forgetDrawing();
    for (const id of ["outlines", "disagreement"]) this.made.delete(id);
    this.show();
  }

  choose(settings) {
    Object.assign(this.state, settings);
    this.show();
  }

  toggleClass(place) {
    if (!this.hidden.delete(place)) this.hidden.add(place);
    this.update();
  }

  /** The key under which a layer's content is kept; it changes with what is chosen. */
  pathOf(id) {
    if (id === "outlines") return `/slides/${this.facts.key}/outlines`;
    if (id === "tiles") return `/slides/${this.facts.key}/cut-tiles`;
    const map = this.state.map;
    const path = `/slides/${this.facts.key}/layers/`;
    if (id === "class") return `${path}${map}-class-${this.state.shownClass}`;
    if (id === "grid") return `${path}${map}-classes`;
    if (id === "unsure") return `${path}${map}-top`;
    return id === "tissue" ? `${path}tissue` : `${path}${map}-${id}`;
  }

  coloursOf(id) {
    if (id === "classes" || id === "grid") return classTable(this.map.colours, this.hidden);
    if (id === "unsure") return belowTable(this.unsureBelow, this.map.unsure_colour);
    const meant = meantColours(id);
    if (meant) return listTable(...meant);
    this.scaleAsked ??= ask("/scale").then((scale) => {
      this.scale = scale;
      if (this.facts) this.show();
    }, (error) => this.failed(error.message));
    return this.scale && scaleTable(this.scale);
  }

  /** A layer's content, asked for when it is first needed. */
  layer(id) {
    const path = this.pathOf(id);
    let layer = this.made.get(id);
    if (!layer || layer.madeOf !== path) {
      const Kind = MADE_BY[id] ?? GridLayer;
      layer = new Kind(path, () => this.overlay.redraw());
      if (MADE_BY[id]) layer.ready.then(() => this.facts && this.show(), () => {}); // the key needs its content
      layer.madeOf = path;
      layer.setColours?.(this.coloursOf(id));
      layer.ready.catch((error) => {
        if (this.made.get(id) !== layer) return;
        this.made.delete(id);
        this.state[id].on = false;
        this.failed(error.message);
        this.show();
      });
      this.made.set(id, layer);
    }
    return layer;
  }

  paint(context, place) {
    if (!this.facts) return;
    for (const { id, smooths } of this.kinds) {
      const { on, opacity } = this.state[id];
      if (!on || (id === "outlines" && this.drawnOver())) continue;
      const layer = this.layer(id);
      if (id === "grid") {
        layer.draw(context, place, 0, false); // so that its cells are asked for
        drawTileGrid(context, place, opacity, layer);
      } else layer.draw(context, place, opacity, Boolean(smooths) && this.state.smooth);
    }
    this.above?.(context, place);
  }
}
