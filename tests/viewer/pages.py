"""The viewer's page in a real browser."""

import base64
import io

import numpy as np
from PIL import Image

WINDOW = {"width": 1280, "height": 800}


class Opened:
    """A page that is open; it notes what it asked for and what the console said."""

    def __init__(self, context, address):
        self.context = context
        self.page = context.new_page()
        self.complaints, self.requests = [], []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)
        self.settled()

    def settled(self):
        """Wait until the slide stands still with all its tiles, or a problem is told."""
        self.page.wait_for_function(
            """() => {
              if (!document.getElementById("problem").hidden) return true;
              const view = globalThis.hviskd?.view;
              const image = view?.facts && view.osd.world.getItemAt(0);
              if (!image || !image.getFullyLoaded()) return false;
              return view.osd.viewport.zoomSpring.isAtTargetValue()
                && view.osd.viewport.centerSpringX.isAtTargetValue();
            }"""
        )
        self.page.wait_for_timeout(150)

    def press(self, name):
        """Press the button of this name."""
        self.page.get_by_role("button", name=name, exact=True).click()
        self.settled()

    def picture(self):
        """What the slide's canvas shows, uint8 (H, W, 3), in px of the screen."""
        url = self.page.evaluate("hviskd.view.osd.drawer.canvas.toDataURL()")
        return pixels(url)

    def evaluate(self, code):
        return self.page.evaluate(code)


def pixels(url):
    """The px of a picture in a data: address, on white."""
    image = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGBA")
    canvas = Image.new("RGBA", image.size, "white")
    canvas.alpha_composite(image)
    return np.asarray(canvas.convert("RGB"))
