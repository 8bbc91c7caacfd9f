// The help with keys, on the page: opened by its button or by the question mark.

import { element, inField } from "./words.js";

const GROUPS = [
  ["Move", [
    ["Pan, when the slide has the focus", "← ↑ ↓ →"],
    ["Zoom", "+", "−"],
    ["Zoom to 1.25× … 40×", "1", "…", "6"],
    ["Whole slide", "0"],
  ]],
  ["Ask", [
    ["Ask about the middle of the screen", "Enter"],
    ["Close the answer", "Esc"],
    ["Next and previous least sure tile", "n", "p"],
  ]],
  ["Tools", [
    ["Look and ask", "l"],
    ["Draw a polygon", "d"],
    ["Draw freehand", "f"],
    ["Select and change outlines", "e"],
    ["Take a region of the map to correct", "c"],
    ["Measure a distance", "m"],
    ["Back to looking", "Esc"],
  ]],
  ["Draw and measure", [
    ["Corner, or end of the ruler, at the cross in the middle", "Enter"],
    ["Close the polygon", "Shift + Enter"],
    ["Remove the last corner", "⌫"],
    ["Freehand: begin at the cross, and close", "Enter"],
    ["… draw by a px of the screen, or by ten", "← ↑ ↓ →", "Shift + ← ↑ ↓ →"],
    ["Give up what was begun", "Esc"],
    ["Undo and redo", "Ctrl + Z", "Ctrl + Y"],
  ]],
  ["Change outlines", [
    ["Select what lies at the cross", "Enter"],
    ["Next and previous outline", "j", "k"],
    ["Next and previous corner", ".", ","],
    ["Move the corner by a px of the screen", "← ↑ ↓ →"],
    ["… by ten px", "Shift + ← ↑ ↓ →"],
    ["Insert a corner after it", "i"],
    ["Remove the corner, or the outline", "Del"],
  ]],
];

/** Make the dialog; `button` and the question mark open it. */
export function helpWithKeys(button) {
  const close = element("button", { type: "button", class: "quiet" }, "Close");
  const dialog = element(
    "dialog", { id: "key-help", "aria-labelledby": "key-help-title" },
    element("div", { class: "head" }, element("h2", { id: "key-help-title" }, "Keys"), close),
    element("div", { class: "groups" }, ...GROUPS.map(group)),
  );
  document.body.append(dialog);
  close.addEventListener("click", () => dialog.close());
  button.addEventListener("click", () => dialog.showModal());
  dialog.addEventListener("keydown", (event) => event.stopPropagation()); // nothing of the page moves meanwhile
  document.addEventListener("keydown", (event) => {
    if (event.key === "?" && !inField(event) && !event.ctrlKey && !event.metaKey) dialog.showModal();
  });
}

function group([title, rows]) {
  const cells = rows.flatMap(([what, ...keys]) => [
    element("dt", {}, what),
    element("dd", {}, ...keys.flatMap((key, at) => [at ? " " : "", key === "…" ? "…" : element("kbd", {}, key)])),
  ]);
  return element("section", {}, element("h3", {}, title), element("dl", {}, ...cells));
}
