"""The common style of all figures."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hviskd.colours import PALETTE
from hviskd.png_file import DPI, write_png

_DRAWING = threading.RLock()  # filters of warnings are the process's

DASHES = ("-", "--", "-.", ":")  # a second cue beside colour, for print and for more curves than colours


def new_figure(width_in: float, height_in: float, *, arranged: bool = True) -> Figure:
    """Return an empty figure of the given size in inches, independent of any window system.

    Matplotlib arranges what is in it, which takes as long as to paint it; unless whoever draws it knows the places.
    """
    figure = Figure(figsize=(width_in, height_in), dpi=DPI, layout="constrained" if arranged else None)
    FigureCanvasAgg(figure)
    return figure


def line_style(position: int) -> dict[str, Any]:
    """Return colour and dash pattern of curve number `position`.

    The first 36 are all different, and neighbours differ in both, so that of curves that coincide both are seen.
    """
    return {
        "color": PALETTE[position % len(PALETTE)],
        "linestyle": DASHES[position % len(DASHES)],
    }


def save_figure(figure: Figure, path: Path, *, settle: bool = False) -> Path:
    """Write a figure as PNG in one step and return its path.

    Args:
        figure: The figure.
        path: Where to write.
        settle: Lay it out twice, so that the layout knows how wide the numbers at the axes are.
    """
    canvas = FigureCanvasAgg(figure)
    with boxes_for_letters():
        # With an engine, a canvas would lay everything out again each time that it draws.
        engine = figure.get_layout_engine()
        if engine is not None:
            for _ in range(2 if settle else 1):
                engine.execute(figure)
        figure.set_layout_engine(None)
        figure.set_facecolor("white")
        canvas.draw()
        figure.set_layout_engine(engine)
    return write_png(path, np.asarray(canvas.buffer_rgba())[..., :3])


@contextmanager
def boxes_for_letters() -> Iterator[None]:
    """Let letters that the font lacks be boxes; a warning for each would say no more."""
    with _DRAWING, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from", category=UserWarning)
        yield
