// The drawing board over the slide: joins tools, outlines, ruler and panel with the views.

import { Drawing } from "./drawing.js";
import { DrawingPanel } from "./drawing_panel.js";
import { paintCross, paintDrawing, paintSketch } from "./drawing_paint.js";
import { EditTool } from "./editing.js";
import { Keeping } from "./keeping.js";
import { RulerTool } from "./ruler.js";
import { FreehandTool, PolygonTool, RegionTool } from "./sketching.js";
import { Tools } from "./tools.js";
import { inField } from "./words.js";

export class Board {
  /** A board over the views of `panes`; `tell` says something to all who read the screen. */
  constructor(panes, tell) {
    this.panes = panes;
    this.tell = tell;
    this.key = null; // of the slide whose outlines are here
    const redraw = () => this.redraw();
    this.drawing = new Drawing((outlines) => this.changed(outlines));
    this.keeping = new Keeping(this.drawing, { told: () => this.show(), saved: () => this.saved() });
    this.tools = new Tools({
      polygon: new PolygonTool(this.drawing, redraw),
      freehand: new FreehandTool(this.drawing, redraw),
      edit: new EditTool(this.drawing, redraw, (bounds) => panes.first.view.showBox(bounds)),
      region: new RegionTool(() => `/slides/${this.key}/maps/${panes.active.layers.state.map}`, {
        taken: (region) => this.correct(region),
        failed: (said) => this.keeping.tell(said),
      }),
      ruler: new RulerTool(() => panes.facts.mpp, redraw, tell),
    }, {
      chosen: () => this.chosen(),
      focus: () => panes.first.view.osd.canvas.focus(),
      ready: () => !this.tools.draws || this.keeping.path !== null,
    });
    this.panel = new DrawingPanel(this.drawing, this.keeping, {
      mpp: () => panes.facts.mpp,
      edit: (region) => {
        this.tools.choose("edit");
        this.tools.current.choose(region);
      },
    });
    document.addEventListener("keydown", (event) => this.keyed(event));
  }

  /** Whether a click asks about the place. */
  get looks() {
    return this.tools.name === "look";
  }

  watch({ view, layers }) {
    this.tools.watch(view);
    layers.drawnOver = () => this.paints && this.keeping.shown;
    layers.beingDrawn = () => (this.paints ? this.drawing.regions : []);
  }

  /** Take a slide that was opened. */
  opened() {
    this.forget();
    if (this.tools.draws) this.load();
  }

  /** Leave the slide, unless something of it is not saved; resolves to whether it was left. */
  async leave() {
    if (!(await this.keeping.save())) {
      this.tools.choose("edit");
      return false;
    }
    this.forget();
    return true;
  }

  /** Add a region of the map, to be changed at once. What was drawn by hand counts more: it stays on top. */
  correct(region) {
    this.tools.choose("edit");
    this.drawing.addBeneath(region);
  }

  forget() {
    this.tools.current?.leave?.();
    this.key = null;
    this.keeping.clear();
    this.drawing.clear();
    this.show();
  }

  chosen() {
    if (this.tools.draws && this.panes.facts && this.key !== this.panes.facts.key) this.load();
    this.show();
    this.redraw();
  }

  async load() {
    const { key } = this.panes.facts;
    this.key = key;
    try {
      await this.keeping.open(key);
    } catch (error) {
      if (this.key !== key) return;
      this.key = null;
      this.tools.choose("look");
      this.tell(`Nothing can be drawn here: ${error.message}`, true);
    }
    this.show();
    this.redraw();
  }

  changed(outlines) {
    if (outlines && this.keeping.unsaved) this.keeping.soon();
    this.show();
    this.redraw();
  }

  /** What the file has is the slide's annotation now. */
  saved() {
    const { facts } = this.panes;
    if (this.keeping.shown) facts.drawn = true;
    for (const { layers } of this.panes.list) layers.drawnAnew();
  }

  show() {
    this.panel.show(this.tools.draws && this.keeping.path !== null, this.tools.name);
  }

  redraw() {
    for (const { layers } of this.panes.list) layers.overlay.redraw();
  }

  /** Whether outlines are painted here, so that the layer of them need not be. */
  get paints() {
    return this.key !== null && (this.tools.draws || this.keeping.unsaved || !this.keeping.shown);
  }

  paint(context, place) {
    const { drawing, tools } = this;
    if (this.paints) paintDrawing(context, place, drawing, tools.tools.edit.held?.region);
    const { points, pointer } = tools.current ?? {};
    const pointed = tools.byKeys ? middleOf(context, place) : pointer;
    if (points) paintSketch(context, place, points, pointed, drawing.chosen?.colour ?? [0, 0, 0]);
    const { ruler } = tools.tools;
    if (tools.byKeys && ruler.open) ruler.ends[1] = middleOf(context, place);
    ruler.paint(context, place);
    if (tools.byKeys && tools.current) paintCross(context);
  }

  keyed(event) {
    const { drawing, tools } = this;
    if (inField(event) || !this.panes.facts) return;
    if (event.ctrlKey || event.metaKey) {
      if (!tools.draws || !["z", "y"].includes(event.key.toLowerCase())) return;
      event.preventDefault();
      if (event.key.toLowerCase() === "y" || event.shiftKey) drawing.redo();
      else drawing.undo();
      return;
    }
    if (event.altKey || !tools.current || !tools.ready()) return;
    if (event.key === "Enter" && !event.target.closest("button, summary, a")) {
      tools.byKeys = true;
      tools.current.enter?.(tools.middle(this.panes.leader.view), event);
      this.redraw();
    } else if (["Delete", "Backspace"].includes(event.key)) tools.current.erase?.();
    else tools.current.key?.(event);
  }
}

function middleOf({ canvas }, { left, top, scale }) {
  return [(canvas.width / 2 - left) / scale, (canvas.height / 2 - top) / scale];
}
