"""Confusion matrices of an evaluation's models, for all or selected classes."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from hviskd.evaluation.figures import draw_confusion
from hviskd.figure_text import fit, with_note
from hviskd.file_names import Paths, list_paths
from hviskd.pictures import new_figure
from hviskd.reports.figures.sources import choose, read_evaluations

_COLUMNS = 3


def confusion_matrices(folders: Paths, *, classes: Sequence[str] = (), only: Sequence[str] = ()) -> Figure:
    """Draw every model's confusion matrix: shares of each true class, and numbers of tiles.

    With `classes` only these are drawn. Shares stay shares of ALL tiles of the true class; what went to classes that
    are not drawn stands beside the row, and what came from them below the matrix.

    Args:
        folders: One or several folders that `save_evaluation` wrote.
        classes: Classes to draw, in this order; all where it is empty.
        only: Models to draw, in this order; all where it is empty.

    Raises:
        DataError: A folder is no evaluation or is damaged, or a class or model is not there.
    """
    given = list_paths(folders)
    read = read_evaluations(given, only)
    shown = choose(read.classes, classes, "class", str(given[0]))
    kept = [read.classes.index(name) for name in shown]
    partial = len(kept) < len(read.classes)
    columns = min(_COLUMNS, len(read.models))
    rows = -(-len(read.models) // columns)
    side = max(3.9, 1.6 + 0.6 * len(kept))
    figure = new_figure(columns * side + 0.9, rows * (side + 0.3 * partial))
    panels = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axes in panels[len(read.models) :]:
        axes.axis("off")
    for axes, model in zip(panels, read.models, strict=False):
        matrix = model.matrix
        held = matrix[kept].sum(axis=1)
        inner = matrix[np.ix_(kept, kept)]
        labels = [fit(name, 1.35, 9, lines=3) for name in shown]
        if partial:
            outside = held - inner.sum(axis=1)
            labels = [
                f"{name}\n{gone / all_tiles:.0%} elsewhere" if all_tiles else name
                for name, gone, all_tiles in zip(labels, outside, held, strict=True)
            ]
        image = draw_confusion(axes, inner, held, shown, labels)
        axes.set_title(fit(model.name, 3.4, 11, lines=2), fontsize=11)
        if partial:
            came = matrix[:, kept].sum() - inner.sum()
            total = held.sum()
            share = f" ({outside.sum() / total:.1%})" if total else ""
            text = f"not drawn: {outside.sum():,.0f} of {total:,.0f} tiles{share} predicted as other classes,\n"
            axes.set_xlabel(
                f"predicted class\n{text}{came:,.0f} tiles of other classes predicted as these", fontsize=8.5
            )
    figure.colorbar(image, ax=panels, label="share of the true class", shrink=0.5, format="{x:.0%}")
    return with_note(figure, read.note)
