// The list of slides: each with its thumbnail, its areas by class, what is noted of it; sorted and filtered.

import { css } from "./colouring.js";
import { area, element } from "./words.js";

const BY_NAME = "name";

export class SlideList {
  /** A list of slides; `choose` is called with the key of the one that is clicked. */
  constructor(slides, choose) {
    this.choose = choose;
    this.current = null;
    this.states = {}; // of slides that are being segmented
    this.filter = document.getElementById("slide-filter");
    this.sort = document.getElementById("slide-sort");
    this.filter.addEventListener("input", () => this.show());
    this.sort.addEventListener("change", () => this.show());
    this.replace(slides);
  }

  /** Show other facts of the slides. */
  replace(slides) {
    this.slides = slides;
    const sorted = this.sort.value;
    const classes = [...new Set(slides.flatMap(({ maps }) => maps[0]?.classes ?? []))];
    const orders = [["Name", BY_NAME]];
    if (classes.length) orders.push(["Tissue, mm²", "tissue"], ...classes.map((name) => [`Share of ${name}`, `class ${name}`]));
    this.sort.replaceChildren(...orders.map(([words, value]) => new Option(words, value)));
    this.sort.parentElement.hidden = !classes.length;
    if (orders.some(([, value]) => value === sorted)) this.sort.value = sorted;
    this.show();
  }

  /** Tell what is done with the slides that are being segmented. */
  tell(rows, now) {
    this.states = Object.fromEntries(Object.entries(rows).map(([key, { state, problem }]) => [key, wordsOfState(state, problem, now[key])]));
    this.showStates();
  }

  showStates() {
    for (const button of document.querySelectorAll("#slide-list button")) {
      const [words, wrong] = this.states[button.dataset.key] ?? ["", false];
      const line = button.querySelector(".state");
      line.textContent = words;
      line.classList.toggle("warn", wrong);
      line.classList.toggle("soft", !wrong);
    }
  }

  /** Mark the slide that is shown. */
  mark(key) {
    this.current = key;
    for (const each of document.querySelectorAll("#slide-list button")) each.setAttribute("aria-current", each.dataset.key === key);
  }

  show() {
    const wanted = this.filter.value.trim().toLocaleLowerCase();
    const found = this.slides.filter((slide) => wordsOf(slide).toLocaleLowerCase().includes(wanted));
    found.sort((one, other) => this.rank(other) - this.rank(one)); // stable: by name among equals
    const focused = document.activeElement?.closest("#slide-list button")?.dataset.key;
    document.getElementById("slide-list").replaceChildren(...found.map((slide) => element("li", {}, this.button(slide))));
    document.getElementById("slide-count").textContent =
      found.length === this.slides.length ? `${found.length} slide${found.length === 1 ? "" : "s"}` : `${found.length} of ${this.slides.length} slides`;
    this.mark(this.current);
    this.showStates();
    if (focused) document.querySelector(`#slide-list button[data-key="${focused}"]`)?.focus();
  }

  rank({ maps }) {
    const by = this.sort.value;
    if (by === BY_NAME) return 0;
    const map = maps[0];
    if (!map) return -1;
    if (by === "tissue") return map.tissue_mm2;
    const total = map.areas_mm2.reduce((sum, each) => sum + each, 0);
    return (map.areas_mm2[map.classes.indexOf(by.slice("class ".length))] ?? 0) / (total || 1);
  }

  button(slide) {
    const words = element("span", { class: "words" }, element("span", { class: "name" }, slide.name));
    const map = slide.maps[0];
    if (map) words.append(bar(map), element("span", { class: "soft" }, `${area(map.tissue_mm2)} mm² of tissue`));
    if (map?.notes.length) words.append(element("span", { class: "soft" }, map.notes.length === 1 ? map.notes[0] : `${map.notes.length} notes`));
    if (slide.problem) words.append(element("span", { class: "warn" }, `failed: ${slide.problem}`));
    words.append(element("span", { class: "state" }));
    const picture = element("img", { src: `/slides/${slide.key}/thumbnail?start=${slide.start}`, alt: "", loading: "lazy" });
    const made = element("button", { type: "button" }, picture, words);
    made.dataset.key = slide.key;
    made.addEventListener("click", () => this.choose(slide.key));
    return made;
  }
}

/** The state of a slide that is being segmented, and whether it is bad. */
function wordsOfState(state, problem, now) {
  if (state === "failed") return [`failed: ${problem}`, true];
  if (state === "working" && now) return [`being mapped: ${Math.floor((100 * now.done) / Math.max(1, now.tiles))} %`, false];
  return [{ waiting: "waiting to be mapped", done: "mapped" }[state] ?? "", false];
}

/** What a slide can be filtered by. */
function wordsOf({ name, problem, maps }) {
  return [name, problem && `failed ${problem}`, ...maps.flatMap(({ notes }) => notes)].join("\n");
}

/** The areas by class as one bar. */
function bar(map) {
  const total = map.areas_mm2.reduce((sum, each) => sum + each, 0);
  const parts = map.classes
    .map((name, place) => ({ name, mm2: map.areas_mm2[place], colour: map.colours[place] }))
    .filter(({ mm2 }) => mm2 > 0);
  const said = parts.map(({ name, mm2 }) => `${name} ${((100 * mm2) / total).toFixed(0)} %`).join(", ");
  const made = element("span", { class: "bar", role: "img", "aria-label": said || "nothing classified", title: said });
  for (const { mm2, colour } of parts) {
    const part = element("i");
    part.style.flexGrow = mm2 / total;
    part.style.background = css(colour);
    made.append(part);
  }
  return made;
}
