"""Figures for a paper from runs, evaluations and comparisons; names are imported on first use."""

from typing import TYPE_CHECKING

from hviskd.lazy import load_on_use

if TYPE_CHECKING:
    from hviskd.reports.figures.confusion import confusion_matrices
    from hviskd.reports.figures.curves import training_curves
    from hviskd.reports.figures.gain import gain_plot
    from hviskd.reports.figures.radar import class_radar, draw_radar, pair_radar
    from hviskd.reports.figures.roc import average_roc, macro_roc, micro_roc
    from hviskd.reports.figures.sources import png_path

_HOMES = {
    "average_roc": "roc",
    "class_radar": "radar",
    "confusion_matrices": "confusion",
    "draw_radar": "radar",
    "gain_plot": "gain",
    "macro_roc": "roc",
    "micro_roc": "roc",
    "pair_radar": "radar",
    "png_path": "sources",
    "training_curves": "curves",
}

__all__ = [
    "average_roc",
    "class_radar",
    "confusion_matrices",
    "draw_radar",
    "gain_plot",
    "macro_roc",
    "micro_roc",
    "pair_radar",
    "png_path",
    "training_curves",
]

__getattr__ = load_on_use(__name__, _HOMES)
