"""The local viewer: slides, maps and an expert's outlines on one another, in the browser of this computer.

`open_viewer` serves them; `page/` holds the page, plain modules of JavaScript. Names load what they need when first
used, since Starlette and uvicorn are an extra.
"""

from typing import TYPE_CHECKING

from hviskd.lazy import load_on_use

if TYPE_CHECKING:
    from hviskd.viewer.drawings import DrawnBy
    from hviskd.viewer.inline import view
    from hviskd.viewer.viewing import OnSlides, Viewer, open_viewer

_HOMES = {
    "DrawnBy": "drawings",
    "OnSlides": "viewing",
    "Viewer": "viewing",
    "open_viewer": "viewing",
    "view": "inline",
}

__all__ = ["DrawnBy", "OnSlides", "Viewer", "open_viewer", "view"]

__getattr__ = load_on_use(__name__, _HOMES)
