// The outlines of a slide that are being drawn: what there is, what is selected, and all that can be undone.

const MOST_STEPS = 500;

export class Drawing {
  /** `changed` is called when anything of it is another, with whether the outlines are. */
  constructor(changed) {
    this.changed = changed;
    this.clear();
  }

  clear() {
    Object.assign(this, { regions: [], past: [], future: [], selected: null, corner: null, classes: [], spare: [], label: null });
    this.within = [0, 0, 0, 0];
  }

  /** Take the outlines of a slide as the viewer tells them. */
  open({ regions, classes, colours, within }) {
    this.clear();
    Object.assign(this, { regions, classes, spare: colours, within, label: classes[0]?.name ?? null });
    this.changed(false);
  }

  get chosen() {
    return this.classes.find(({ name }) => name === this.label) ?? null;
  }

  /** Choose a class for what is drawn next, and for the outline that is selected. */
  choose(label) {
    this.label = label;
    const { selected, chosen } = this;
    if (selected && selected.label !== label) this.replace(selected, { ...selected, label, colour: chosen.colour });
    else this.changed(false);
  }

  /** Add a class, in a colour that none has. */
  addClass(label) {
    const name = label.trim().slice(0, 200);
    if (!name) return;
    const known = this.classes.find((each) => each.name.toLowerCase() === name.toLowerCase());
    if (!known) this.classes = [...this.classes, { name, colour: this.spare.shift() ?? [90, 90, 90] }];
    this.choose(known?.name ?? name);
  }

  /** Add an outline on top of the others. */
  add(region) {
    this.step([...this.regions, region], null);
  }

  /** Add an outline beneath the others, to be changed at once. */
  addBeneath(region) {
    this.step([region, ...this.regions], region);
  }

  replace(region, by) {
    this.step(this.regions.map((each) => (each === region ? by : each)), by);
  }

  remove(region) {
    this.step(this.regions.filter((each) => each !== region), null);
  }

  /** Put other outlines in the place of all, as one step; of their classes, those that are new can be chosen, too. */
  takeAll(regions, classes) {
    const known = new Set(this.classes.map(({ name }) => name));
    this.classes = [...this.classes, ...classes.filter(({ name }) => !known.has(name))];
    this.step(regions, null);
  }

  /** Take outlines as they were repaired, without a step. */
  adopt(regions) {
    const whole = regions.length === this.regions.length; // else places no longer tell which is which
    const place = this.regions.indexOf(this.selected);
    this.regions = regions;
    this.selected = whole ? (regions[place] ?? null) : null;
    this.corner = null;
    this.changed(false);
  }

  select(region, corner = null) {
    if (region === this.selected && corner === this.corner) return;
    Object.assign(this, { selected: region, corner, label: region?.label ?? this.label });
    this.changed(false);
  }

  undo() {
    this.back(this.past, this.future);
  }

  redo() {
    this.back(this.future, this.past);
  }

  back(from, to) {
    if (!from.length) return;
    to.push(this.regions);
    Object.assign(this, { regions: from.pop(), selected: null, corner: null });
    this.changed(true);
  }

  step(regions, selected) {
    this.past.push(this.regions);
    if (this.past.length > MOST_STEPS) this.past.shift();
    Object.assign(this, { regions, selected, corner: null, future: [], label: selected?.label ?? this.label });
    this.changed(true);
  }
}
