// One to four views of a slide side by side, each with layers of its own, that move together.

import { Layers } from "./layers.js";
import { forgetDrawing } from "./line_layers.js";
import { SlideView } from "./slide_view.js";
import { element } from "./words.js";

export const MOST_PANES = 4;

export class Panes {
  /** Views in an element. `moved` is called when the place changes, `changed` when a setting does, `failed` with what
   *  cannot be shown, `made` with each new view and its layers. */
  constructor(holder, { moved, changed, failed, made }) {
    this.holder = holder;
    this.calls = { moved, changed, failed, made };
    this.list = [];
    this.facts = null;
    this.add();
    this.active = this.leader = this.list[0];
    // Whoever is touched leads, and the others follow; buttons and keys elsewhere move the first.
    for (const kind of ["pointerdown", "wheel", "keydown"]) {
      document.addEventListener(kind, (event) => this.touched(event.target), { capture: true, passive: true });
    }
  }

  get first() {
    return this.list[0];
  }

  /** Show another slide in all views. */
  async open(facts) {
    this.facts = null;
    forgetDrawing(); // somebody else may have drawn on it meanwhile
    await Promise.all(this.list.map(({ view }) => view.open(facts).then(() => resized(view.osd))));
    this.first.view.home(true);
    this.facts = facts;
    for (const { layers } of this.list) layers.open(facts);
    this.follow();
  }

  /** Take in what is newly known of the slide that is shown. */
  refresh(facts) {
    this.facts = facts;
    for (const { view, layers } of this.list) {
      view.facts = facts;
      layers.open(facts);
    }
  }

  close() {
    this.facts = null;
    for (const { view, layers } of this.list) {
      view.close();
      layers.close();
    }
  }

  /** Show so many views; new ones show the next maps, or the bare slide where there are no more. */
  async setCount(count) {
    const whole = this.first.view.isHome;
    while (this.list.length > count) this.remove();
    while (this.list.length < count) {
      const pane = this.add();
      pane.layers.takeOver(this.first.layers, this.list.length - 1);
      if (this.facts) {
        await pane.view.open(this.facts);
        pane.layers.open(this.facts);
      }
    }
    this.holder.dataset.count = count;
    this.activate(this.list.includes(this.active) ? this.active : this.first);
    this.leader = this.first;
    await resized(this.first.view.osd);
    if (whole) this.first.view.home(true);
    this.follow();
  }

  /** Show the controls of one view in the panel. */
  activate(pane) {
    this.active = pane;
    for (const each of this.list) {
      each.layers.controlled = each === pane;
      each.element.classList.toggle("active", each === pane && this.list.length > 1);
    }
    if (this.facts) pane.layers.show();
  }

  add() {
    const first = !this.list.length;
    const label = element("p", { class: "pane-label" });
    const picture = element("div", first ? { class: "picture", id: "picture" } : { class: "picture" });
    const box = element("div", { class: "pane", role: "group" }, picture, label);
    this.holder.append(box);
    const pane = { element: box, label };
    pane.view = new SlideView(picture, () => this.movedIn(pane), { overview: first });
    pane.layers = new Layers(pane.view, {
      changed: () => {
        const map = pane.layers.shownMap;
        pane.label.textContent = map ? map.name : "slide";
        box.setAttribute("aria-label", `View ${this.list.indexOf(pane) + 1}: ${pane.label.textContent}`);
        this.calls.changed(pane);
      },
      failed: this.calls.failed,
    });
    this.list.push(pane);
    this.calls.made(pane);
    return pane;
  }

  remove() {
    const { view, element: box } = this.list.pop();
    view.osd.destroy();
    box.remove();
  }

  touched(target) {
    const pane = this.list.find(({ element: box }) => box.contains(target));
    this.leader = pane ?? this.first;
    if (pane && pane !== this.active) this.activate(pane);
  }

  movedIn(pane) {
    if (pane === this.leader) this.follow();
    if (pane === this.first) this.calls.moved();
  }

  follow() {
    for (const { view } of this.list) if (view !== this.leader.view) view.follow(this.leader.view);
  }
}

/** Resolves when a viewer knows the size that its element has now. */
async function resized(osd) {
  for (let frame = 0; frame < 60; frame += 1) {
    const known = osd.viewport?.getContainerSize();
    if (!known || (known.x === osd.element.clientWidth && known.y === osd.element.clientHeight)) return;
    await new Promise(requestAnimationFrame);
  }
}
