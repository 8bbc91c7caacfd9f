"""Tables and the figure of what relations hold, stage by stage."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hviskd.colours import PALETTE
from hviskd.evaluation.relation_quality import FORMS, MEASURES, RelationQuality
from hviskd.figure_text import fit, with_note
from hviskd.pictures import new_figure, save_figure
from hviskd.storage import atomic_folder, write_text

RELATIONS = ("relations.csv", "relations")  # what tells such a folder from a person's own


def save_relations(found: RelationQuality, folder: Path | str, *, overwrite: bool = False) -> Path:
    """Write `relations.md`, `relations.csv` (every number) and `relations.png`.

    Raises:
        DataError: The folder is not empty, and `overwrite` is not set or it has no relations.
    """
    folder = Path(folder)
    with atomic_folder(folder, overwrite=overwrite, replaces=RELATIONS) as partial:
        write_text(partial / "relations.md", found.to_markdown())
        write_text(partial / "relations.csv", found.table.to_csv(index=False, float_format="%.6g"))
        save_figure(draw_relations(found), partial / "relations.png")
    return folder


def draw_relations(found: RelationQuality) -> Figure:
    """Draw the relations between samples: a row of panels per measure, a column per Model, bars by stage and form."""
    models = list(dict.fromkeys(found.table["model"]))
    measures = [name for name in MEASURES if found.student or name != "distance"]
    figure = new_figure(1.0 + 4.2 * len(models), 0.9 + 2.0 * len(measures))
    panels = figure.subplots(len(measures), len(models), sharey="row", squeeze=False)
    for row, measure in zip(panels, measures, strict=True):
        for axes, model in zip(row, models, strict=True):
            _bars(axes, found, model, measure)
            if measure == measures[0]:
                axes.set_title(fit(model, 3.8, 10, lines=2), fontsize=10)
        row[0].set_ylabel(fit(MEASURES[measure], 1.8, 9, lines=2), fontsize=9)
    for axes in panels[-1]:
        axes.set_xlabel("stage (0: stem)", fontsize=9)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(FORMS), frameon=False, fontsize=9)
    return with_note(figure, " ".join(found.notes))


def _bars(axes: Axes, found: RelationQuality, model: str, measure: str) -> None:
    own = found.table[found.table["model"] == model]
    stages = list(dict.fromkeys(own["stage"]))
    width = 0.8 / len(FORMS)
    for place, form in enumerate(FORMS):
        values = own[own["form"] == form].set_index("stage")[measure].reindex(stages)
        at = np.arange(len(stages)) + (place - (len(FORMS) - 1) / 2) * width
        axes.bar(at, values, width, color=PALETTE[place + 1], label=form)
    if measure == "auc":
        axes.axhline(0.5, color="0.3", linewidth=0.8, linestyle="--")
        axes.set_ylim(min(0.4, float(own["auc"].min())), 1)
    axes.set_xticks(range(len(stages)), stages)
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color="0.92")
    axes.set_axisbelow(True)
