"""Report section: models evaluated on unseen tiles."""

from itertools import takewhile
from pathlib import Path

from hviskd.evaluation.tables import EACH_LEVEL
from hviskd.models.folder import is_last
from hviskd.reports.figures.sources import is_evaluation, read_evaluation_card
from hviskd.reports.section import Picture, Section, name_of, pictures_there, text_of, verdict_in, without_verdict
from hviskd.tiles.leaks import without_names

SHOWN = 6  # models with pictures of their own
_MEANING = (
    "top-1: the share of tiles whose most probable class is the true class; top-3: whose class is among the three most "
    "probable.",
    "balanced accuracy: the mean recall over classes; a rare class counts as much as a common one.",
    "macro-F1: the mean over classes of the harmonic mean of precision and recall.",
    "AUROC: the probability that a tile of a class scores higher for it than another tile; 0.5 is chance. "
    "macro: its mean over classes.",
    "calibration error: the mean gap between confidence and accuracy; 0 is best.",
    "In brackets: 95 % intervals, resampling patients (or slides or tiles). A difference whose interval includes zero "
    "is not demonstrated.",
)
_SHARED = {
    "comparison.png": "The models side by side, with 95 % intervals; the dashed line is the first model.",
    "confidence.png": "Accuracy at each stated probability, and the error rate as the least "
    "certain tiles are left to a human.",
}
_WORSE = {
    "robustness.png": "The same models on corrupted tiles, at five levels each.",
    "robustness-tiles.png": "Examples of these levels.",
}


def matches(folder: Path) -> bool:
    """Return whether a folder was written by `hviskd evaluate`."""
    return is_evaluation(folder)


def describe(folder: Path) -> Section:
    """Make the section of an evaluation.

    Raises:
        DataError: The folder is damaged.
    """
    card = read_evaluation_card(folder)
    names = [model.name for model in card.models]
    # What a run's last epoch did stands in the tables; its pictures would say little more.
    first = [name for name in names if not is_last(name, names)]
    shown = first[:SHOWN]
    tiles = f"{card.tiles:,} tiles of {len(card.classes)} classes"
    lead = [f"{len(names)} model{'s' * (len(names) != 1)} on the {card.split} split, {tiles}."]
    if len(names) > len(shown):
        lead.append(f"Figures of {len(names) - len(shown)} more models are in the evaluation's folder.")
    verdict = verdict_in(card.model_dump())
    tables = [without_verdict(text_of(folder / "table.md"), verdict)]
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
                f"confusion-{name}.png": f"{name}: predicted against true class.",
            },
        )
    return Section(
        title=f"Evaluation: {name_of(folder)}",
        lead=tuple(lead),
        verdict=verdict,
        tables=tuple(tables),
        meaning=_MEANING,
        pictures=(*pictures_there(folder, _SHARED), *each, *worse),
        limits=(without_names(card.leak), *map(without_names, card.notes)),
        commands=(
            f"hviskd evaluate {' '.join(first)} --tiles TILESET --split {card.split} "
            f"-o {name_of(folder)}" + (" --robustness" if worse else ""),
        ),
    )
