// The viewer's page: joins the list of slides, the slide on the screen and the panel.

import { ask } from "./asking.js";
import { Here } from "./here.js";
import { keepPlace, readPlace } from "./kept_place.js";
import { Layers } from "./layers.js";
import { showLegend } from "./legend.js";
import { disablePowers, makePowers, markPower } from "./powers.js";
import { drawScaleBar } from "./scale_bar.js";
import { showFacts } from "./slide_facts.js";
import { SlideList } from "./slide_list.js";
import { SlideView } from "./slide_view.js";
import { startTheme } from "./theme.js";
import { plain } from "./words.js";

const by = (id) => document.getElementById(id);
const view = new SlideView(by("picture"), moved);
const layers = new Layers(view, {
  changed: () => {
    if (!layers.facts) return;
    showLegend(layers);
    if (view.facts) keepPlace(view, layers.state);
  },
  failed: (problem) => { by("layer-problem").textContent = problem; },
});
const here = new Here(view, () => layers.overlay.redraw());
layers.above = (context, place) => here.paint(context, place);
let list = null;
let loading = null; // of the models, after the first slide is on the screen

function moved() {
  drawScaleBar(view.umPerPx);
  markPower(view);
  const { x, y } = view.centre;
  by("place").textContent =
    `${plain(view.power)}× · ${plain(view.umPerPx)} µm/px · x ${Math.round(x).toLocaleString("en")}, ` +
    `y ${Math.round(y).toLocaleString("en")} px`;
  keepPlace(view, layers.state);
}

function say(problem) {
  by("problem").hidden = !problem;
  document.body.classList.toggle("no-slide", Boolean(problem));
  by("problem").textContent = problem;
}

let wanted = 0; // counts openings, so that a slow one does not replace a later one

async function show(key, place = {}) {
  const mine = ++wanted;
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
    by("layer-problem").textContent = "";
    here.close();
    await view.open(facts);
    layers.open(facts);
    loading ??= ask("/models").catch((error) => { by("layer-problem").textContent = error.message; });
    if (place.x !== null && place.y !== null && place.power) view.lookAt(place.x, place.y, place.power);
    by("told").textContent = `${facts.name} is open`;
  } catch (error) {
    if (mine !== wanted) return;
    view.close();
    layers.close();
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

async function start() {
  startTheme();
  makePowers(view);
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("button, input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" && view.facts) here.ask(view.centre.x, view.centre.y);
    if (event.key === "Escape") here.close();
  });
  by("open-slides").addEventListener("click", () => openSlides(!by("slides").classList.contains("open")));
  const { slides, notice } = await ask("/slides");
  by("notice").textContent = notice;
  list = new SlideList(slides, (key) => show(key, {}));
  const place = readPlace(layers.state);
  const known = slides.some((slide) => slide.key === place.slide);
  await show(known ? place.slide : slides[0].key, known ? place : {});
}

globalThis.hviskd = { view, layers, here }; // for the browser's console
start().catch((error) => say(error.message));
