// The buttons that zoom by power, as the objectives of a microscope do.

import { element, plain } from "./words.js";

export const POWERS = [1.25, 2.5, 5, 10, 20, 40];

export function makePowers(view) {
  const group = document.getElementById("powers");
  const buttons = POWERS.map((power, place) => {
    const made = element("button", { type: "button", title: `Key ${place + 1}`, disabled: true }, `${plain(power)}×`);
    made.addEventListener("click", () => view.setPower(power));
    return made;
  });
  const whole = element("button", { type: "button", title: "Key 0", disabled: true }, "Whole");
  whole.addEventListener("click", () => view.home());
  group.replaceChildren(whole, ...buttons);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    const pressed = event.key === "0" ? whole : buttons[Number(event.key) - 1];
    if (pressed && !pressed.disabled) pressed.click();
  });
}

/** Mark the power that is shown, if it is one of them, and enable those at which the slide has px and fills the screen. */
export function markPower(view) {
  const [whole, ...buttons] = document.querySelectorAll("#powers button");
  whole.disabled = false;
  buttons.forEach((button, place) => {
    button.disabled = POWERS[place] > view.highestPower || POWERS[place] < view.lowestPower;
    button.setAttribute("aria-pressed", Math.abs(view.power / POWERS[place] - 1) < 0.01);
  });
}

export function disablePowers() {
  for (const button of document.querySelectorAll("#powers button")) {
    button.disabled = true;
    button.removeAttribute("aria-pressed");
  }
}
