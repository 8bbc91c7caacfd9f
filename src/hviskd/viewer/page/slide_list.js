// The list of slides, each with its thumbnail.

import { element } from "./words.js";

/** Fill the list; `choose` is called with the key of the slide that is clicked. */
export function fillSlideList(slides, choose) {
  const list = document.getElementById("slide-list");
  list.replaceChildren(...slides.map((slide) => element("li", {}, button(slide, choose))));
}

/** Mark the slide that is shown. */
export function markSlide(key) {
  for (const each of document.querySelectorAll("#slide-list button")) {
    each.setAttribute("aria-current", each.dataset.key === key);
  }
}

function button(slide, choose) {
  const picture = element("img", { src: `/slides/${slide.key}/thumbnail`, alt: "", loading: "lazy" });
  const made = element("button", { type: "button" }, picture, element("span", { class: "name" }, slide.name));
  made.dataset.key = slide.key;
  made.addEventListener("click", () => choose(slide.key));
  return made;
}
