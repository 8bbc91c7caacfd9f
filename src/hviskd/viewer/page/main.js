// The viewer's page: joins the list of slides, the views of a slide and the panel.

import { ask } from "./asking.js";
import { Board } from "./board.js";
import { Here } from "./here.js";
import { keepPlace, readLayers, readPlace } from "./kept_place.js";
import { helpWithKeys } from "./key_help.js";
import { LeastSure } from "./least_sure.js";
import { showLegend } from "./legend.js";
import { Live } from "./live.js";
import { MOST_PANES, Panes } from "./panes.js";
import { savePicture } from "./picture.js";
import { disablePowers, makePowers, markPower } from "./powers.js";
import { drawScaleBar } from "./scale_bar.js";
import { showFacts } from "./slide_facts.js";
import { SlideList } from "./slide_list.js";
import { startTheme } from "./theme.js";
import { element, plain } from "./words.js";

const by = (id) => document.getElementById(id);
let board = null;
const here = new Here(() => panes.facts, () => panes.list.forEach(({ layers }) => layers.overlay.redraw()), () => board.looks);
const panes = new Panes(by("panes"), {
  moved,
  changed: (pane) => {
    if (!panes.facts) return;
    if (pane === panes.active) {
      showLegend(pane.layers);
      leastSure.update(pane.layers);
      board.tools.enable("region", Boolean(pane.layers.map));
    }
    keep();
  },
  failed: tellLayerProblem,
  made: (pane) => {
    here.watch(pane.view);
    board?.watch(pane);
    pane.layers.above = (context, place) => {
      live?.paint(context, place);
      here.paint(context, place);
      board.paint(context, place);
    };
  },
});
board = new Board(panes, announce);
board.watch(panes.first);
const leastSure = new LeastSure(panes, here);
let list = null;
let live = null; // where maps may come
let loading = null; // of the models, after the first slide is on the screen

function keep() {
  keepPlace(panes.first.view, panes.list.map(({ layers }) => layers.state));
}

function moved() {
  const { view } = panes.first;
  drawScaleBar(view.umPerPx);
  markPower(view);
  const { x, y } = view.centre;
  by("place").textContent =
    `${plain(view.power)}× · ${plain(view.umPerPx)} µm/px · x ${Math.round(x).toLocaleString("en")}, ` +
    `y ${Math.round(y).toLocaleString("en")} px`;
  keep();
}

function say(problem) {
  by("problem").hidden = !problem;
  document.body.classList.toggle("no-slide", Boolean(problem));
  by("problem").textContent = problem;
}

/** Tell all, also who hears the screen; what is wrong stays on it. */
function announce(words, wrong = false) {
  by("told").textContent = words;
  if (wrong) tellLayerProblem(words);
}

function tellLayerProblem(problem) {
  by("layer-problem").textContent = problem;
}

let wanted = 0; // counts openings, so that a slow one does not replace a later one

async function show(key, place = {}) {
  const mine = ++wanted;
  if (!(await board.leave()) || mine !== wanted) return;
  list.mark(key);
  openSlides(false);
  try {
    const facts = await ask(`/slides/${encodeURIComponent(key)}`);
    if (mine !== wanted) return;
    if (facts.problem) throw new Error(facts.problem);
    say("");
    by("title").textContent = facts.name;
    document.title = `${facts.name} – hviskd`;
    showFacts(facts);
    tellLayerProblem("");
    here.close();
    await panes.open(facts);
    board.opened();
    live?.opened();
    loading ??= ask("/models").catch((error) => tellLayerProblem(error.message));
    if (place.x != null && place.y != null && place.power) panes.first.view.lookAt(place.x, place.y, place.power);
    by("told").textContent = `${facts.name} is open`;
  } catch (error) {
    if (mine !== wanted) return;
    panes.close();
    here.close();
    by("title").textContent = "hviskd";
    by("told").textContent = "";
    disablePowers();
    say(error.message);
  }
}

function openSlides(open) {
  by("slides").classList.toggle("open", open);
  by("open-slides").setAttribute("aria-expanded", open);
}

async function showPanes(count) {
  await panes.setCount(count);
  for (const button of by("views").children) button.setAttribute("aria-pressed", Number(button.textContent) === count);
  if (panes.facts) keep();
}

function makeControls() {
  const buttons = Array.from({ length: MOST_PANES }, (_, place) => {
    const button = element("button", { type: "button", title: `${place + 1} side by side`, "aria-pressed": !place }, `${place + 1}`);
    button.addEventListener("click", () => showPanes(place + 1));
    return button;
  });
  by("views").replaceChildren(...buttons);
  by("save").addEventListener("click", () => panes.facts && savePicture(panes, by("notice").textContent, live?.shown));
  helpWithKeys(by("keys"));
  by("open-slides").addEventListener("click", () => openSlides(!by("slides").classList.contains("open")));
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("button, input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    const { view } = panes.first;
    if (event.key === "Enter" && view.facts && board.looks) here.ask(view.centre.x, view.centre.y);
    if (event.key === "Escape") here.close();
  });
}

/** Show what the page's address names: slide, place, power, views and layers. */
async function showKept() {
  const place = readPlace();
  await showPanes(1);
  const { layers: first } = panes.first;
  first.reset();
  readLayers(place.said, first.state);
  await showPanes(place.views);
  panes.list.forEach(({ layers }, number) => readLayers(place.said, layers.state, number));
  const known = list.slides.some((slide) => slide.key === place.slide);
  await show(known ? place.slide : list.slides[0].key, known ? place : {});
}

async function start() {
  startTheme();
  makePowers(panes.first.view);
  makeControls();
  const { slides, notice, live: mayGrow, maps } = await ask("/slides");
  by("notice").textContent = notice;
  list = new SlideList(slides, (key) => show(key, {}));
  await showKept();
  // An address that was kept is opened in this page, unless something drawn is not saved: then this one stays.
  addEventListener("hashchange", async () => { await (await board.leave() ? showKept() : keep()); });
  if (mayGrow) live = new Live(list, panes, maps, announce);
}

globalThis.hviskd = { panes, here, board, showKept, get live() { return live; }, get view() { return panes.first.view; }, get layers() { return panes.active.layers; } }; // for the console
start().catch((error) => say(error.message));
