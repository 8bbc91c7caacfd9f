// Arrow keys: on the slide, and within a group of buttons, as toolbars and groups of choices have them.

const STEPS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };

/** Let arrows move the focus among the buttons of a group; `chooses` presses the one they come to. */
export function arrowsWithin(group, chooses = false) {
  group.addEventListener("keydown", (event) => {
    const step = STEPS[event.key];
    const buttons = [...group.querySelectorAll("button:not(:disabled)")];
    const at = buttons.indexOf(document.activeElement);
    if (!step || at < 0) return;
    event.preventDefault();
    const next = (at + step + buttons.length) % buttons.length;
    buttons[next].focus();
    if (chooses) buttons[next].click();
  });
}

/** How many px of the screen an arrow goes across and down: one, or ten. */
export function arrowStep(key, far) {
  const step = far ? 10 : 1;
  return { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[key];
}
