"""Turns the weights of a finished Run into two Models with cards."""

import platform
from datetime import UTC, datetime
from importlib.metadata import version

from safetensors.torch import load_file

from hviskd.models import (
    IMAGENET,
    DataRecord,
    Licence,
    Model,
    ModelCard,
    TeacherRecord,
    save_model,
)
from hviskd.models.folder import CHOSEN, LAST
from hviskd.tiles import TileSet
from hviskd.training.recipe import Recipe
from hviskd.training.run import Run
from hviskd.training.setup import Independence, Learner
from hviskd.version import __version__


def export_models(run: Run, learner: Learner, teacher: Model | None, independence: Independence) -> None:
    """Write `model` (the selected epoch) and `model-last` (the last one) into a run's folder, all epochs done."""
    recipe, tileset, choice = learner.recipe, learner.tileset, learner.choice
    chosen = load_file(run.chosen_file(int(learner.chosen["epoch"])))
    for place, name, selection, weights, row in (
        (CHOSEN, run.folder.name, _selection(recipe, tileset), chosen, learner.chosen),
        (LAST, f"{run.folder.name}-last", "last epoch", learner.kept.state_dict(), learner.history[-1]),
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
            data=_data_record(tileset, independence),
            teacher=_teacher_record(teacher),
            recipe=recipe.model_dump(mode="json"),
            epoch=int(row["epoch"]),
            selection=selection,
            metrics={key: value for key, value in row.items() if key.startswith("val_")},
            licences=_licence_chain(learner, teacher),
            versions={"python": platform.python_version(), "hviskd": __version__, "torch": version("torch")},
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            pretrained=learner.started_from,
        )
        network = choice.build(len(tileset.classes), tileset.tile_px)
        network.load_state_dict(weights)
        save_model(network, card, run.folder / place, overwrite=True)


def _selection(recipe: Recipe, tileset: TileSet) -> str:
    """Describe how the epoch was selected."""
    if not len(tileset.rows("val")):
        return "last epoch (no validation split)"
    unseen = tileset.missing_classes().get("val")
    lacking = f", which has no tile of {', '.join(unseen)}" if unseen else ""
    return f"epoch with the best {recipe.choose_by.replace('_', ' ')} on the validation split{lacking}"


def _data_record(tileset: TileSet, independence: Independence) -> DataRecord:
    return DataRecord(
        name=tileset.folder.resolve().name,
        fingerprint=tileset.fingerprint,
        split_fingerprint=tileset.split_fingerprint,
        train_tiles=len(tileset.rows("train")),
        val_tiles=len(tileset.rows("val")),
        independence=independence.statement,
        leak_allowed=independence.leaks,
    )


def _teacher_record(teacher: Model | None) -> TeacherRecord | None:
    if teacher is None:
        return None
    card = teacher.card
    return TeacherRecord(name=card.name, network=card.network, fingerprint=teacher.fingerprint, data=card.data)


def _licence_chain(learner: Learner, teacher: Model | None) -> tuple[Licence, ...]:
    """Return the licences of data, starting weights and all that the teacher was made from, without repetition."""
    tileset, weights = learner.tileset, learner.started_from
    what = f"tiles {tileset.folder.resolve().name} ({tileset.fingerprint[:12]})"  # many a folder is called tiles
    own = [Licence(what=what, licence=tileset.card.origin.licence)]
    if weights is not None:
        what = f"weights {weights.name} ({weights.sha256[:12]})"
        own.append(Licence(what=what, licence=weights.licence, terms=weights.terms))
    inherited = teacher.card.licences if teacher else ()
    return tuple(dict.fromkeys((*own, *inherited)))
