"""The viewer's page in a real browser."""

import base64
import io

import numpy as np
from PIL import Image

SETTINGS = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce"}  # which the page heeds
_TWO_FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


class Opened:
    """A page that is open; it notes what it asked for and what the console said."""

    def __init__(self, context, address, *, screen=None, touched=False, **media):
        """Open an address.

        Args:
            context: The browser's window, of which all pages share one process.
            address: What to open.
            screen: The page's width and height, if they are not the window's.
            touched: It is a touch screen.
            media: What the system prefers, as Playwright names it.
        """
        self.context = context
        self.page = context.new_page()
        self.page.emulate_media(**media)
        if screen:
            self.page.set_viewport_size(screen)
        if touched:
            context.new_cdp_session(self.page).send("Emulation.setTouchEmulationEnabled", {"enabled": True})
        self.complaints, self.requests = [], []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)
        self.settled()

    def _heard(self, message):
        """Note an error; OpenSeadragon warns of tiles that come when another slide is wanted already."""
        if message.type == "error" or "before reset" not in message.text:
            self.complaints.append(message.text)

    def turn_to(self, words):
        """Show what a page shows that is opened with these words after the `#` of its address, without loading it."""
        self.complaints.clear()
        self.requests.clear()
        self.page.bring_to_front()  # a page behind others draws four frames a second
        self.page.evaluate(
            """async (words) => {
              hviskd.board.tools.choose("look");
              document.activeElement.blur();
              const filter = document.getElementById("slide-filter");
              filter.value = "";
              filter.dispatchEvent(new Event("input"));
              history.replaceState(null, "", `#${words}`);
              await hviskd.showKept();
            }""",
            words,
        )
        self.settled()

    def forget(self):
        """Close the slide, and give up what was drawn on it and not saved, and what a test that failed had held up."""
        self.page.unroute_all(behavior="ignoreErrors")
        self.page.evaluate(
            "(async () => { await hviskd.board.keeping.sending; hviskd.board.forget(); hviskd.panes.close(); })()"
        )

    def drawn_anew(self):
        """Wait until what was changed is on the screen."""
        self.page.evaluate(_TWO_FRAMES)

    def settled(self):
        """Wait until the slide stands still with all its tiles for some frames, or a problem is told.

        One frame would not do: a layer asks for its cells only when it is drawn for the first time.
        """
        self.page.evaluate(f"(globalThis.framesStill = 0, {_TWO_FRAMES})")
        self.page.wait_for_function(
            """() => {
              const still = () => {
                if (!document.getElementById("problem").hidden) return true;
                const panes = globalThis.hviskd?.panes;
                if (!panes?.facts) return false;
                for (const {view} of panes.list) if (!view.osd.world.getItemAt(0)?.getFullyLoaded()) return false;
                const {view} = panes.first;
                for (const layer of panes.list.flatMap(({layers}) => [...layers.made.values()])) {
                  const tiles = [...(layer.tiles?.values() ?? [])];
                  if (layer.tiles && (!layer.geometry || !layer.colours)) return false;
                  if (tiles.some((tile) => !tile.cells)) return false;
                  if (!layer.tiles && !layer.drawing) return false;
                }
                const {zoomSpring, centerSpringX, centerSpringY} = view.osd.viewport;
                return [zoomSpring, centerSpringX, centerSpringY].every((spring) => spring.isAtTargetValue());
              };
              framesStill = still() ? framesStill + 1 : 0;
              return framesStill > 2;
            }"""
        )

    def press(self, name):
        """Press the button of this name."""
        self.page.get_by_role("button", name=name, exact=True).click()
        self.settled()

    def picture(self):
        """What the slide's canvas shows, uint8 (H, W, 3), in px of the screen."""
        url = self.page.evaluate("hviskd.view.osd.drawer.canvas.toDataURL()")
        return pixels(url)

    def overlay(self):
        """What the layers show, uint8 (H, W, 4)."""
        url = self.page.evaluate("(hviskd.layers.overlay.draw(), hviskd.layers.overlay.canvas.toDataURL())")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGBA"))

    def place(self):
        """Level-0 px per px of the screen, and the level-0 place of the screen's upper left corner."""
        scale, x, y, width, height = self._shown()
        return 1 / scale, x - width / 2 / scale, y - height / 2 / scale

    def level0(self):
        """The level-0 x of each column and y of each row of the screen, at the middle of its px."""
        step, left, top = self.place()
        *_, width, height = self._shown()
        return left + (np.arange(width) + 0.5) * step, top + (np.arange(height) + 0.5) * step

    def _shown(self):
        return self.page.evaluate(
            """(({view, layers: {overlay: {canvas}}}) =>
              [view.scale, view.centre.x, view.centre.y, canvas.width, canvas.height])(hviskd)"""
        )

    def set_layers(self, *on, **settings):
        """Show these layers alone, opaque."""
        self.page.evaluate(
            """([on, settings]) => {
              const {state} = hviskd.layers;
              for (const value of Object.values(state)) if (value && typeof value === "object") value.on = false;
              for (const id of on) Object.assign(state[id], {on: true, opacity: 1});
              hviskd.layers.choose(settings);
            }""",
            [on, settings],
        )
        self.settled()

    def evaluate(self, code):
        return self.page.evaluate(code)


def pixels(url):
    """The px of a picture in a data: address, on white."""
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGBA")
    canvas = Image.new("RGBA", image.size, "white")
    canvas.alpha_composite(image)
    return np.asarray(canvas.convert("RGB"))


def expected(slide, opened, shape, *, aside_px=0):
    """What the screen should show, read from the slide at the place and scale that the page says it shows."""
    scale = opened.evaluate("hviskd.view.scale")
    x, y = opened.evaluate("(({x, y}) => [x, y])(hviskd.view.centre)")
    height, width = shape[:2]
    return slide.read(x - width / 2 / scale + aside_px, y - height / 2 / scale, width, height, slide.mpp / scale)
