"""Turns the weights of a finished Run into two Models with cards."""

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version

from torch import Tensor

from hviskd.models import (
    IMAGENET,
    DataRecord,
    Licence,
    Model,
    ModelCard,
    NetworkChoice,
    TeacherRecord,
    save_model,
)
from hviskd.models.folder import CHOSEN, LAST
from hviskd.networks import create_network
from hviskd.tiles import TileSet
from hviskd.training.recipe import Recipe
from hviskd.training.run import Run
from hviskd.training.setup import Independence
from hviskd.version import __version__


def export_models(
    run: Run,
    recipe: Recipe,
    choice: NetworkChoice,
    tileset: TileSet,
    teacher: Model | None,
    independence: Independence,
    *,
    chosen: tuple[Mapping[str, Tensor], Mapping[str, float]],
    last: tuple[Mapping[str, Tensor], Mapping[str, float]],
) -> None:
    """Write `model` (the selected epoch) and `model-last` (the last one) into a run's folder.

    Args:
        run: The run, all epochs done.
        recipe: What it followed.
        choice: What the student is.
        tileset: What it learned from.
        teacher: Whom it learned from.
        independence: What is known of the splits.
        chosen: The student's weights at the chosen epoch, and that epoch's row of the log.
        last: The same of the last epoch.
    """
    val_tiles = len(tileset.rows("val"))
    best = f"epoch with the best {recipe.choose_by.replace('_', ' ')} on the validation split"
    if unseen := tileset.missing_classes().get("val"):
        best += f", which has no tile of {', '.join(unseen)}"
    how = best if val_tiles else "last epoch (no validation split)"
    for place, name, selection, (weights, row) in (
        (CHOSEN, run.folder.name, how, chosen),
        (LAST, f"{run.folder.name}-last", "last epoch", last),
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
            data=DataRecord(
                name=tileset.folder.resolve().name,
                fingerprint=tileset.fingerprint,
                split_fingerprint=tileset.split_fingerprint,
                train_tiles=len(tileset.rows("train")),
                val_tiles=val_tiles,
                independence=independence.statement,
                leak_allowed=independence.leaks,
            ),
            teacher=_teacher_record(teacher),
            recipe=recipe.model_dump(mode="json"),
            epoch=int(row["epoch"]),
            selection=selection,
            metrics={key: value for key, value in row.items() if key.startswith("val_")},
            licences=_licence_chain(tileset, teacher),
            versions={"python": platform.python_version(), "hviskd": __version__, "torch": version("torch")},
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        network = create_network(choice.name, len(tileset.classes), choice.head, choice.projector)
        network.load_state_dict(dict(weights))
        save_model(network, card, run.folder / place, overwrite=True)


def _teacher_record(teacher: Model | None) -> TeacherRecord | None:
    if teacher is None:
        return None
    card = teacher.card
    return TeacherRecord(name=card.name, network=card.network, fingerprint=teacher.fingerprint, data=card.data)


def _licence_chain(tileset: TileSet, teacher: Model | None) -> tuple[Licence, ...]:
    """Return the licences of the data and of everything that the teacher was made from, without repetition."""
    what = f"tiles {tileset.folder.resolve().name} ({tileset.fingerprint[:12]})"  # many a folder is called tiles
    own = Licence(what=what, licence=tileset.card.origin.licence)
    inherited = teacher.card.licences if teacher else ()
    return tuple(dict.fromkeys((own, *inherited)))
