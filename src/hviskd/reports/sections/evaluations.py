"""Evaluations: models measured on tiles that they have not seen."""

from itertools import takewhile
from pathlib import Path

from hviskd.evaluation.corrupted_tiles import EACH_LEVEL
from hviskd.reports.figures.sources import is_evaluation, read_evaluation_card
from hviskd.reports.section import Picture, Section, name_of, pictures_there, text_of
from hviskd.tiles.leaks import without_names

SHOWN = 6  # models with pictures of their own
_MEANING = (
    "top-1: the share of tiles whose most probable class is the true one; top-3: whose class is among the three most "
    "probable.",
    "balanced accuracy: the mean over classes of the share found; a rare class counts as much as a common one.",
    "macro-F1: the mean over classes of the balance between finding a class and not crying wolf.",
    "AUROC: how often a tile of a class gets a higher probability for it than a tile of another; 0.5 is chance. "
    "macro: its mean over classes.",
    "calibration error: how far stated probability and hit rate lie apart; 0 is best.",
    "In brackets 95 % intervals, patients (or what stands for them) drawn anew. A difference whose interval holds zero "
    "shows nothing.",
)
_SHARED = {
    "comparison.png": "The models side by side, with 95 % intervals; the dashed line is the first one.",
    "confidence.png": "How often a model is right where it states a probability, and how its errors fall as the least "
    "probable tiles are left to a person.",
}
_WORSE = {
    "robustness.png": "The same models on worse tiles, in five steps each.",
    "robustness-tiles.png": "What these steps look like.",
}


def matches(folder: Path) -> bool:
    """Say whether `hviskd evaluate` wrote a folder."""
    return is_evaluation(folder)


def describe(folder: Path) -> Section:
    """Make the section of an evaluation.

    Raises:
        DataError: The folder is damaged.
    """
    card = read_evaluation_card(folder)
    names = [model.name for model in card.models]
    # What a run's last epoch did stands in the tables; its pictures would say little more.
    first = [name for name in names if not (name.endswith("-last") and name.removesuffix("-last") in names)]
    shown = first[:SHOWN]
    tiles = f"{card.tiles:,} tiles of {len(card.classes)} classes"
    lead = [f"{len(names)} model{'s' * (len(names) != 1)} on the {card.split} split, {tiles}."]
    if len(names) > len(shown):
        lead.append(f"Pictures of {len(names) - len(shown)} more models lie in the evaluation's folder.")
    tables = [text_of(folder / "table.md")]
    worse: tuple[Picture, ...] = ()
    if (folder / "robustness.md").is_file():
        blocks = text_of(folder / "robustness.md").split("\n\n")
        tables.append("\n\n".join(takewhile(lambda block: not block.endswith(EACH_LEVEL), blocks)))
        worse = pictures_there(folder, _WORSE)
    each: tuple[Picture, ...] = ()
    for name in shown:
        each += pictures_there(
            folder,
            {
                f"roc-{name}.png": f"{name}: one class against the rest.",
                f"confusion-{name}.png": f"{name}: what each class was taken for.",
            },
        )
    return Section(
        title=f"Evaluation: {name_of(folder)}",
        lead=tuple(lead),
        tables=tuple(tables),
        meaning=_MEANING,
        pictures=(*pictures_there(folder, _SHARED), *each, *worse),
        limits=(without_names(card.leak), *map(without_names, card.notes)),
        commands=(
            f"hviskd evaluate {' '.join(first)} --tiles TILESET --split {card.split} "
            f"-o {name_of(folder)}" + (" --robustness" if worse else ""),
        ),
    )
