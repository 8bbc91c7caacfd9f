"""Turns the weights of a finished Run into two Models with cards."""

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from safetensors.torch import load_file

from hviskd.models import (
    IMAGENET,
    DataRecord,
    Licence,
    Model,
    ModelCard,
    TeacherRecord,
    UnlabelledRecord,
    save_model,
)
from hviskd.models.folder import CHOSEN, LAST, name_of_last
from hviskd.tiles import TileSet, UnlabelledTiles
from hviskd.training.low_power import calibrate_low_power
from hviskd.training.recipe import Recipe
from hviskd.training.run import Run
from hviskd.training.setup import Independence, Learner
from hviskd.version import __version__


def export_models(
    run: Run, learner: Learner, teacher: Model | None, independence: Independence, *, weak: str = ""
) -> None:
    """Write the Models of the selected and of the last epoch into a run's folder, all epochs done.

    `weak` says why the teacher is no better than a guess, if it is not.
    """
    recipe, tileset, choice = learner.recipe, learner.tileset, learner.choice
    selected = _selection(recipe, tileset, learner.chosen)
    last, last_row = (selected, learner.chosen) if recipe.probe else ("last epoch", learner.history[-1])
    chosen = load_file(run.chosen_file(int(learner.chosen["epoch"])))
    for place, name, selection, weights, row in (
        (CHOSEN, run.folder.name, selected, chosen, learner.chosen),
        (LAST, name_of_last(run.folder.name), last, learner.kept.state_dict(), last_row),
    ):
        card = ModelCard(
            name=name,
            network=choice,
            classes=tileset.classes,
            colours=tileset.card.colours,
            tile_px=tileset.tile_px,
            mpp=tileset.mpp,
            normalisation=IMAGENET,
            stain=tileset.card.stain,
            icc=tileset.card.icc,
            data=_data_record(tileset, learner.unlabelled, independence),
            teacher=_teacher_record(teacher, weak),
            recipe=_told(recipe, learner.start),
            epoch=0 if recipe.probe else int(row["epoch"]),
            selection=selection,
            metrics={key: value for key, value in row.items() if key.startswith("val_")},
            licences=_licence_chain(learner, teacher),
            versions={"python": platform.python_version(), "hviskd": __version__, "torch": version("torch")},
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            pretrained=learner.started_from or (learner.start.card.pretrained if learner.start else None),
        )
        network = choice.build(len(tileset.classes), tileset.tile_px)
        network.load_state_dict(weights)
        if recipe.low_power and not recipe.probe:
            model = Model(network.eval(), card, run.folder / place)
            record = calibrate_low_power(model, tileset, learner.fabric.device.type)
            card = card.model_copy(update={"coarse_to_fine": record})
        save_model(network, card, run.folder / place, overwrite=True)


def _told(recipe: Recipe, start: Model | None) -> dict[str, Any]:
    """Return the recipe for a card, in which the Model it started from has a name and no path."""
    told = recipe.model_dump(mode="json")
    return told if start is None else told | {"start": f"{start.card.name} ({start.fingerprint[:12]})"}


def _selection(recipe: Recipe, tileset: TileSet, row: Mapping[str, float]) -> str:
    """Describe how the epoch, or the probe, was selected."""
    if recipe.probe:
        weights = "balanced" if row["balanced"] else "equal"
        return (
            f"linear probe with penalty {row['penalty']:g} and {weights} class weights, the best "
            f"{recipe.choose_by.replace('_', ' ')} on the validation split"
        )
    if recipe.choose_by == "last":
        return "last epoch"
    if not len(tileset.rows("val")):
        return "last epoch (no validation split)"
    unseen = tileset.missing_classes().get("val")
    lacking = f", which has no tile of {', '.join(unseen)}" if unseen else ""
    powers = " at full and at low power" if recipe.low_power else ""
    best = f"epoch with the best {recipe.choose_by.replace('_', ' ')}{powers} on the validation split{lacking}"
    return best if row["epoch"] else f"{best}: the Model it started from, which no epoch improved upon"


def _data_record(tileset: TileSet, more: UnlabelledTiles | None, independence: Independence) -> DataRecord:
    joined = None
    if more is not None:
        joined = UnlabelledRecord(
            name=more.name, fingerprint=more.fingerprint, data=more.tileset.fingerprint, tiles=len(more.rows)
        )
    return DataRecord(
        name=tileset.folder.resolve().name,
        fingerprint=tileset.fingerprint,
        split_fingerprint=tileset.split_fingerprint,
        train_tiles=len(tileset.rows("train")),
        val_tiles=len(tileset.rows("val")),
        independence=independence.statement,
        leak_allowed=independence.leaks,
        unlabelled=joined,
    )


def _teacher_record(teacher: Model | None, weak: str) -> TeacherRecord | None:
    if teacher is None:
        return None
    card = teacher.card
    return TeacherRecord(
        name=card.name, network=card.network, fingerprint=teacher.fingerprint, data=card.data, weak=weak
    )


def _licence_chain(learner: Learner, teacher: Model | None) -> tuple[Licence, ...]:
    """Return the licences of data, starting weights and all that the Models were made from, without repetition."""
    own, weights, more = [_licence_of("tiles", learner.tileset)], learner.started_from, learner.unlabelled
    if more is not None:
        own.append(_licence_of("unlabelled tiles", more.tileset))
    if weights is not None:
        what = f"weights {weights.name} ({weights.sha256[:12]})"
        own.append(Licence(what=what, licence=weights.licence, terms=weights.terms))
    origins = [model for model in (teacher, learner.start) if model is not None]
    inherited = [licence for model in origins for licence in model.card.licences]
    return tuple(dict.fromkeys((*own, *inherited)))


def _licence_of(what: str, tileset: TileSet) -> Licence:
    name = f"{what} {tileset.folder.resolve().name} ({tileset.fingerprint[:12]})"  # many a folder is called tiles
    return Licence(what=name, licence=tileset.card.origin.licence)
