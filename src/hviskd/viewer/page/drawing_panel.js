// The part of the panel for drawing: classes to choose from, what was drawn, what became of it, and how to go on.

import { arrowsWithin } from "./arrows.js";
import { css } from "./colouring.js";
import { areaOf } from "./geometry.js";
import { area, element } from "./words.js";

const MOST_LISTED = 300;
const HINTS = {
  polygon: "Click from corner to corner; double-click, or click the first one, to close. Drag to pan.",
  freehand: "Draw round a region with the button held down, or a finger. With keys: Enter, arrows, and Enter to close.",
  edit: "Click an outline to select it. Drag a corner, or the border for a new one; Delete removes.",
  region: "Click the map to take the region there as an outline, and correct it. It lies under those that are drawn.",
};
const by = (id) => document.getElementById(id);

export class DrawingPanel {
  /** Shows a Drawing and its Keeping; `edit` shows an outline, `mpp` gives the slide's µm/px. */
  constructor(drawing, keeping, { edit, mpp }) {
    Object.assign(this, { drawing, keeping, edit, mpp });
    arrowsWithin(by("draw-classes"), true);
    arrowsWithin(by("draw-list"));
    by("draw-undo").addEventListener("click", () => drawing.undo());
    by("draw-redo").addEventListener("click", () => drawing.redo());
    by("draw-delete").addEventListener("click", () => drawing.selected && drawing.remove(drawing.selected));
    by("draw-new").addEventListener("submit", (event) => {
      event.preventDefault();
      drawing.addClass(by("draw-new-name").value);
      by("draw-new-name").value = "";
    });
    this.decides("draw-both", () => keeping.takeBoth());
    this.decides("draw-theirs", () => keeping.takeTheirs());
    this.decides("draw-mine", () => keeping.keepMine());
  }

  /** A button that ends a conflict; all are off while one works. */
  decides(id, work) {
    const buttons = by("draw-conflict").querySelectorAll("button");
    by(id).addEventListener("click", async () => {
      for (const button of buttons) button.disabled = true;
      await work().catch((error) => this.keeping.tell(error.message));
      for (const button of buttons) button.disabled = false;
    });
  }

  show(open, tool) {
    by("draw-section").hidden = !open;
    if (!open) return;
    by("draw-hint").textContent = HINTS[tool];
    const { drawing, keeping } = this;
    by("draw-undo").disabled = !drawing.past.length;
    by("draw-redo").disabled = !drawing.future.length;
    by("draw-delete").disabled = !drawing.selected;
    by("draw-note").textContent = keeping.note;
    by("draw-note").classList.toggle("warn", keeping.note.startsWith("Not saved:"));
    by("draw-conflict").hidden = !keeping.conflict;
    by("draw-what").textContent = keeping.conflict;
    this.list("draw-classes", drawing.classes.map((each) => this.classRow(each)));
    this.list("draw-list", drawing.regions.slice(-MOST_LISTED).reverse().map((region) => this.row(region)));
    by("draw-list").querySelector('[aria-pressed="true"]')?.scrollIntoView({ block: "nearest" });
    const more = drawing.regions.length - MOST_LISTED;
    by("draw-count").textContent = drawing.regions.length
      ? `${drawing.regions.length.toLocaleString("en")} outline${drawing.regions.length === 1 ? "" : "s"}${more > 0 ? `, the last ${MOST_LISTED} listed` : ""}`
      : "Nothing is drawn yet";
  }

  /** Replace a list, but leave the focus where it is. */
  list(id, rows) {
    const focused = [...by(id).querySelectorAll("button")].indexOf(document.activeElement);
    by(id).replaceChildren(...rows);
    if (focused >= 0) by(id).querySelectorAll("button")[focused]?.focus();
  }

  classRow({ name, colour }) {
    const chosen = name === this.drawing.label;
    const button = element("button", { type: "button", role: "radio", "aria-checked": chosen }, swatch(colour), element("span", { class: "name" }, name));
    button.addEventListener("click", () => this.drawing.choose(name));
    return element("li", { role: "none" }, button);
  }

  row(region) {
    const mm2 = (areaOf(region) * this.mpp() ** 2) / 1e6;
    const button = element(
      "button", { type: "button", "aria-pressed": region === this.drawing.selected, title: `Show and change ${region.label}` },
      swatch(region.colour), element("span", { class: "name" }, region.name || region.label),
      element("span", { class: "number" }, `${area(mm2)} mm²`),
    );
    button.addEventListener("click", () => this.edit(region));
    return element("li", {}, button);
  }
}

function swatch(colour) {
  const made = element("i", { class: "swatch", "aria-hidden": true });
  made.style.background = css(colour);
  return made;
}
