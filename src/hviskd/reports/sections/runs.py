"""Report section: which network was trained on what, with which teacher, for how long, and its validation accuracy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hviskd.evaluation.tables import markdown_table
from hviskd.models import ModelCard
from hviskd.models.folder import CHOSEN, LAST, read_model_card
from hviskd.reports.figures import training_curves
from hviskd.reports.section import Section, name_of, picture_of, text_of
from hviskd.tiles.leaks import without_names
from hviskd.training import Run

_MEANING = (
    "top-1: the share of tiles whose most probable class is the true class, here on the validation tiles.",
    "selected: the epoch with the best validation result, whose value is therefore optimistic; last: the last epoch.",
)


@dataclass(frozen=True)
class _Training:
    name: str
    recipe: Mapping[str, Any]
    recipe_text: str
    card: Mapping[str, Any]
    chosen: ModelCard | None  # None while it is unfinished
    last: ModelCard | None


def matches(folder: Path) -> bool:
    """Return whether a folder was written by `hviskd train` or `hviskd distill`."""
    return (folder / "run.json").is_file()


def describe(folders: Sequence[Path]) -> Section:
    """Make one section for all trainings.

    Raises:
        DataError: A folder is damaged.
        TrainingError: Likewise.
        ModelError: A Model's card is damaged.
    """
    trainings = [_read(folder) for folder in folders]
    lead = [f"{len(trainings)} training{'s' * (len(trainings) > 1)}.", *_data(trainings)]
    begun = [folder for folder in folders if Run(folder).log_file.is_file()]
    caption = "Loss terms, top-1 and learning rate against the epoch; a star marks the selected epoch."
    unfinished = [one.name for one in trainings if one.chosen is None]
    limits = ["A single training does not show the variation between seeds."]
    if unfinished:
        limits.append(f"Not finished: {', '.join(unfinished)}.")
    return Section(
        title="Training runs",
        lead=tuple(lead),
        tables=(markdown_table(_table(trainings), words=4),),
        meaning=_MEANING,
        pictures=(picture_of(training_curves(begun), caption),) if begun else (),
        limits=tuple(limits),
        commands=tuple(map(_command, trainings)),
        texts=tuple((f"{one.name}.yaml", one.recipe_text) for one in trainings),
    )


def _read(folder: Path) -> _Training:
    run = Run(folder)
    done = run.finished
    chosen, last = (read_model_card(folder / place) if done else None for place in (CHOSEN, LAST))
    recipe = chosen.recipe if chosen else run.recipe.model_dump(mode="json")
    return _Training(name_of(folder), recipe, text_of(run.recipe_file), run.card, chosen, last)


def _data(trainings: Sequence[_Training]) -> list[str]:
    """State once for each TileSet its tiles, the leak statement and the licence."""
    said: dict[str, None] = {}
    for one in trainings:
        if one.chosen is None:
            said[without_names(str(one.card.get("independence", "")))] = None
            continue
        data = one.chosen.data
        tiles = f"{data.train_tiles:,} training and {data.val_tiles:,} validation tiles"
        tiles += f" of {len(one.chosen.classes)} classes"
        scale = f", {one.chosen.tile_px} px" + (f" at {one.chosen.mpp:g} µm/px" if one.chosen.mpp else "")
        named, apart = f"TileSet {data.name} ({data.fingerprint[:12]})", without_names(data.independence)
        said[f"{named}: {tiles}{scale}. {apart}"] = None
        owners = "; ".join(f"{owner.what}: {owner.licence or 'unknown'}" for owner in one.chosen.licences)
        said[f"Licences: {owners}."] = None
    return [text for text in said if text]


def _table(trainings: Sequence[_Training]) -> tuple[list[str], list[list[str]]]:
    header = ["run", "network", "teacher", "losses", "epochs", "selected", "top-1 selected", "top-1 last", "minutes"]
    rows = []
    for one in trainings:
        teacher = one.chosen.teacher.name if one.chosen and one.chosen.teacher else "–"
        seconds = one.card.get("training_seconds")
        rows.append(
            [
                one.name,
                str(one.recipe.get("network", "–")),
                teacher,
                ", ".join(name.replace("_", " ") for name in one.recipe.get("methods", ())),
                str(one.recipe.get("epochs", "–")),
                str(one.chosen.epoch) if one.chosen else "unfinished",
                _share(one.chosen),
                _share(one.last),
                f"{seconds / 60:.1f}" if isinstance(seconds, int | float) else "–",
            ]
        )
    return header, rows


def _share(card: ModelCard | None) -> str:
    value = card.metrics.get("val_top1") if card else None
    return "–" if value is None else f"{value:.3f}"


def _command(one: _Training) -> str:
    taught = one.chosen is not None and one.chosen.teacher is not None
    if taught:
        return f"hviskd distill TILESET -o {one.name} --teacher TEACHER --recipe {one.name}.yaml"
    return f"hviskd train TILESET -o {one.name} --recipe {one.name}.yaml"
