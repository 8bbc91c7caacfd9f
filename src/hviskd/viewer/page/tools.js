// What the pointer does on a slide: one tool at a time, chosen in the toolbar or by a key.

import { arrowsWithin } from "./arrows.js";
import { inField } from "./words.js";

export const TOOLS = ["look", "polygon", "freehand", "edit", "region", "ruler"];

export class Tools {
  /** Tools by name, each with the gestures that it takes; `look` has none. `chosen` is called with another one's name,
   *  `focus` gives the keys to the slide, `ready()` says whether a tool can work already. */
  constructor(tools, { chosen, focus, ready }) {
    this.tools = tools;
    Object.assign(this, { chosen, focus, ready });
    this.name = "look";
    this.byKeys = false; // whether the middle of the screen stands in for the pointer
    this.buttons = new Map(TOOLS.map((name) => [name, document.getElementById(`tool-${name}`)]));
    for (const [name, button] of this.buttons) button.addEventListener("click", () => this.choose(name));
    arrowsWithin(document.getElementById("tools"));
    document.addEventListener("keydown", (event) => this.key(event));
  }

  get current() {
    return this.tools[this.name] ?? null;
  }

  /** Whether outlines are being drawn or changed. */
  get draws() {
    return !["look", "ruler"].includes(this.name);
  }

  choose(name) {
    if (this.buttons.get(name).disabled || name === this.name) return;
    this.current?.leave?.();
    this.name = name;
    for (const [each, button] of this.buttons) button.setAttribute("aria-pressed", each === name);
    document.getElementById("stage").dataset.tool = name;
    this.chosen(name);
  }

  enable(name, able) {
    this.buttons.get(name).disabled = !able;
    if (!able && this.name === name) this.choose("look");
  }

  key(event) {
    if (inField(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    for (const [name, button] of this.buttons) {
      if (event.key !== button.getAttribute("aria-keyshortcuts")) continue;
      this.byKeys = true;
      this.choose(name);
      this.focus();
    }
    if (event.key === "Escape" && !this.current?.escape?.()) this.choose("look");
  }

  /** Give the gestures on a view to the tool. A place is level-0 px, with how many of them a px of the screen is. */
  watch(view) {
    const { osd } = view;
    let pinched = false; // by two fingers, of which the first has begun a gesture
    const give = (gesture, also) => (event) => {
      if (pinched || !this.current || !view.facts || !this.ready()) return;
      this.byKeys = false;
      const taken = this.current[gesture]?.(placeOf(view, event.position), event);
      if (taken || also) event.preventDefaultAction = true;
    };
    osd.addHandler("canvas-press", (event) => {
      pinched = false;
      give("press")(event);
    });
    osd.addHandler("canvas-pinch", () => {
      if (!pinched) this.current?.pinch?.();
      pinched = true;
    });
    osd.addHandler("canvas-drag", give("drag"));
    osd.addHandler("canvas-drag-end", give("drop"));
    osd.addHandler("canvas-release", give("release"));
    osd.addHandler("canvas-click", (event) => event.quick && give("click")(event));
    osd.addHandler("canvas-double-click", give("double", true));
    osd.addHandler("canvas-key", (event) => {
      const { key } = event.originalEvent;
      const taken = this.current?.arrow && key.startsWith("Arrow") && this.current.arrow(key, event.originalEvent, view);
      if (taken || /^[a-z]$/i.test(key)) event.preventDefaultAction = true; // letters choose tools, and turn nothing
    });
    osd.canvas.addEventListener("pointermove", (event) => {
      if (!this.current?.move || !view.facts || !this.ready()) return;
      this.byKeys = false;
      const box = osd.element.getBoundingClientRect();
      this.current.move(placeOf(view, new OpenSeadragon.Point(event.clientX - box.left, event.clientY - box.top)));
    });
  }

  /** The middle of a view, as a place. */
  middle(view) {
    return { ...view.centre, px: 1 / view.scale };
  }
}

function placeOf(view, position) {
  const { viewport } = view.osd;
  const { x, y } = viewport.viewportToImageCoordinates(viewport.pointFromPixel(position, true));
  return { x, y, px: 1 / view.scale };
}
