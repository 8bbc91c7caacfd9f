"""Report section: where models look in tiles, with an expert's outlines if there are any."""

from pathlib import Path

from hviskd.errors import DataError
from hviskd.reports.section import Section, card_of, name_of, pictures_there, text_of

_MEANING = (
    "Dice: overlap of the hottest part of a map and the expert's outline, 0 to 1.",
    "pointing game: the share of tiles whose hottest point lies inside the outline; energy: the share of the "
    "attention inside it.",
    "Random maps and edge maps are baselines: a model that is no better than these shows nothing.",
)
_PICTURES = {
    "examples.png": "Tiles, the expert's outlines if there are any, and each model's attention.",
    "boxes.png": "Dice of all tiles, by model.",
}
_TABLE = "attention.md"


def matches(folder: Path) -> bool:
    """Return whether a folder was written by `hviskd attend`."""
    return (folder / "examples.png").is_file() and {"stage", "kind", "models"} <= card_of(folder, "summary.json").keys()


def describe(folder: Path) -> Section:
    """Make the section of an attention folder.

    Raises:
        DataError: The folder is damaged.
    """
    card = card_of(folder, "summary.json")
    models, notes = card["models"], card.get("notes", [])
    if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in (models, notes)):
        raise DataError(f"{folder / 'summary.json'}: its models or notes are not text; run `attend()` again")
    stage = card["stage"]
    place = "the last stage" if stage is None else f"stage {stage}"
    measured = (folder / _TABLE).is_file()
    return Section(
        title=f"Attention: {name_of(folder)}",
        lead=(f"{card['kind']} at {place} of {', '.join(models)}, on {card.get('tiles')} tiles.",),
        tables=(text_of(folder / _TABLE),) if measured else (),
        meaning=_MEANING if measured else (),
        pictures=pictures_there(folder, _PICTURES),
        limits=("Where a network looks is not why it decides.", *notes),
        commands=(
            f"hviskd attend {' '.join(models)} --tiles TILESET -o {name_of(folder)} --method {card['kind']}"
            + ("" if stage is None else f" --stage {stage}")
            + (" --annotations DIR" if measured else ""),
        ),
    )
