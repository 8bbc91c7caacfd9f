// What `segment` is doing, as it happens: the map that fills, the state of each slide, start and cancel.

import { ask, askBytes, send } from "./asking.js";
import { classTable, css } from "./colouring.js";
import { area, element } from "./words.js";

const OPACITY = 0.55;
const by = (id) => document.getElementById(id);

export class Live {
  /** Follow what happens to the slides of `list` and in `panes`, which show maps of a version; `announce` is called with
   *  what all should know. */
  constructor(list, panes, version, announce) {
    Object.assign(this, { list, panes, version, announce });
    this.told = null;
    this.source = null;
    this.picture = null; // of the slide that is shown, if it is being mapped
    by("live-shown").addEventListener("change", () => this.redraw());
    by("segment-model").addEventListener("change", () => this.showJob());
    by("segment-start").addEventListener("click", () => this.order("/segment", { model: by("segment-model").value }));
    by("segment-cancel").addEventListener("click", () => this.order("/segment/cancel", {}));
    // A browser has few connections to one server: a page that nobody sees leaves its one to others.
    document.addEventListener("visibilitychange", () => this.listen(!document.hidden));
    this.listen(!document.hidden);
  }

  listen(on) {
    this.source?.close();
    this.source = on ? new EventSource("/live") : null;
    if (!on) return;
    this.source.addEventListener("open", () => { this.told = null; }); // all is told anew
    this.source.addEventListener("message", ({ data }) => this.hear(JSON.parse(data)));
    this.source.addEventListener("end", () => {
      this.source.close();
      this.announce("the viewer has ended");
    });
  }

  /** Take in what has changed. */
  async hear(changes) {
    const told = { ...this.told, ...changes };
    for (const name of ["rows", "now"]) told[name] = withChanges(this.told?.[name], changes[name]);
    this.told = told;
    this.list.tell(told.rows, told.now);
    this.showJob();
    this.showSlide();
    if (this.version === told.maps) return;
    this.version = told.maps;
    await this.refresh().catch((error) => this.announce(error.message, true));
  }

  /** Ask for the list and the facts anew, after maps were finished. */
  async refresh() {
    this.list.replace((await ask("/slides")).slides);
    const key = this.panes.facts?.key;
    if (!key) return;
    const facts = await ask(`/slides/${encodeURIComponent(key)}`);
    if (this.panes.facts?.key === key && !facts.problem) this.panes.refresh(facts);
  }

  /** The slide that is shown was changed. */
  opened() {
    this.picture = null;
    this.showSlide();
  }

  async order(path, content) {
    by("segment-start").disabled = true;
    by("segment-cancel").disabled = true;
    by("segment-told").textContent = path.endsWith("cancel") ? "cancelling …" : "starting …";
    try {
      const job = await send(path, content);
      if (this.told) this.told.job = job;
      this.showJob();
    } catch (error) {
      this.showJob();
      by("segment-told").textContent = error.message;
    }
  }

  /** Show what can be started, or what was. */
  showJob() {
    if (!this.told) return;
    const { models, job, rows } = this.told;
    const runs = Boolean(job.model);
    const open = models.filter(({ slides }) => slides);
    by("segment-section").hidden = !runs && !open.length && !job.problem;
    const select = by("segment-model");
    const chosen = open.find(({ name }) => name === select.value) ?? open[0];
    select.replaceChildren(...open.map(({ name }) => new Option(name, name, false, name === chosen?.name)));
    select.parentElement.hidden = runs || open.length < 2;
    by("segment-start").hidden = runs || !chosen;
    by("segment-start").disabled = false;
    by("segment-start").textContent = chosen ? `Map ${chosen.slides} slide${chosen.slides === 1 ? "" : "s"} with ${chosen.name}` : "";
    by("segment-cancel").hidden = !runs;
    by("segment-cancel").disabled = false;
    const states = Object.values(rows).map(({ state }) => state);
    const left = states.filter((state) => state === "waiting" || state === "working").length;
    const running = states.length ? `${states.length - left} of ${states.length} slides done` : "starting …";
    by("segment-told").textContent = runs ? `Mapping with ${job.model}: ${running}` : job.problem;
    by("segment-told").className = job.problem ? "warn" : "soft";
  }

  /** Show how far the slide on the screen is. */
  showSlide() {
    const key = this.panes.facts?.key, now = this.told?.now[key];
    by("live-section").hidden = !now;
    if (!now) {
      if (this.picture) {
        this.picture = null;
        this.redraw();
      }
      return;
    }
    by("live-title").textContent = `Being mapped by ${now.model}`;
    by("live-bar").max = now.tiles;
    by("live-bar").value = now.done;
    by("live-told").textContent = progressOf(now);
    by("live-legend").replaceChildren(...legend(now));
    this.fetchCells(key, now);
  }

  async fetchCells(key, now) {
    if (this.picture?.key === key && this.picture.done === now.done) return;
    this.picture = { key, now, done: now.done, canvas: this.picture?.key === key ? this.picture.canvas : null, cellPx: now.cell_px };
    const mine = this.picture;
    try {
      const cells = await askBytes(`/slides/${key}/live`);
      if (mine !== this.picture || cells.length !== now.rows * now.columns) return;
      mine.canvas = paint(cells, now);
      this.redraw();
    } catch { /* it was finished meanwhile, which the next event says */ }
  }

  redraw() {
    for (const { layers } of this.panes.list) layers.overlay.redraw();
  }

  /** The map that fills on the slide, or null. */
  get shown() {
    return this.picture?.canvas && by("live-shown").checked ? this.picture.now : null;
  }

  /** Draw the map so far on the slide. */
  paint(context, { left, top, scale }) {
    if (!this.shown) return;
    const { canvas } = this.picture;
    const side = this.picture.cellPx * scale;
    context.globalAlpha = OPACITY;
    context.imageSmoothingEnabled = false;
    context.drawImage(canvas, left, top, canvas.width * side, canvas.height * side);
    context.globalAlpha = 1;
  }
}

/** What is known by slide, with changes; null ends it. */
function withChanges(known = {}, changes = {}) {
  return Object.fromEntries(Object.entries({ ...known, ...changes }).filter(([, value]) => value));
}

/** Tiles and area so far, tiles a second and time left, in words. */
function progressOf({ done, tiles, tiles_per_s: rate, seconds_left: left, areas_mm2: areas }) {
  const mm2 = areas.reduce((sum, each) => sum + each, 0);
  const words = [`${done.toLocaleString("en")} of ${tiles.toLocaleString("en")} tiles, ${area(mm2)} mm²`];
  if (rate) words.push(`${Math.round(rate).toLocaleString("en")} tiles/s`);
  if (left !== null) words.push(`${duration(left)} left`);
  return words.join(" · ");
}

function duration(seconds) {
  const words = seconds < 60 ? `${seconds} s`
    : seconds < 3600 ? `${Math.floor(seconds / 60)} min ${seconds % 60} s`
      : `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
  return words.replaceAll(" ", "\u00a0");
}

function legend({ classes, colours, areas_mm2: areas }) {
  const total = areas.reduce((sum, each) => sum + each, 0);
  return classes.map((name, place) => {
    const swatch = element("i", { class: "swatch", "aria-hidden": true });
    swatch.style.background = css(colours[place]);
    const share = total ? `${((100 * areas[place]) / total).toFixed(1)} %` : "–";
    return element("li", {}, swatch, element("span", { class: "name" }, name),
      element("span", { class: "number" }, area(areas[place])), element("span", { class: "number" }, share));
  });
}

function paint(cells, { rows, columns, colours }) {
  const canvas = element("canvas", { width: columns, height: rows });
  const picture = new ImageData(columns, rows);
  const px = new Uint32Array(picture.data.buffer), table = classTable(colours, new Set());
  for (let at = 0; at < cells.length; at += 1) px[at] = table[cells[at]];
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas;
}
