"""The whole job on tissue that the project draws itself: tiles, teacher, three students, one table; `hviskd demo`."""

import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hviskd.errors import DataError
from hviskd.evaluation import Evaluation, evaluate
from hviskd.progress import progress_bar
from hviskd.slides import TISSUE_CLASSES, draw_patient, draw_tile
from hviskd.storage import write_json
from hviskd.tiles import TileSet, TileSetWriter, draw_contact_sheet, split_tiles
from hviskd.tiles.card import Origin
from hviskd.training import Run, load_recipe, train
from hviskd.version import __version__

RECIPE = "demo"
MARK = "demo.json"  # what tells a demo's folder from a person's own work
STUDENTS = {"alone": "plain", "kd": "kd", "hviskd": "hviskd"}


@dataclass(frozen=True)
class Demo:
    """What a demo left in its folder.

    Attributes:
        folder: Everything it wrote.
        tileset: The drawn tiles, split by patient.
        runs: The teacher's and the students' runs, by name.
        evaluation: All of them on the test patients; the student alone is the reference.
    """

    folder: Path
    tileset: TileSet
    runs: dict[str, Run]
    evaluation: Evaluation


def draw_demo_tiles(
    folder: Path,
    *,
    patients: int = 20,
    tiles_per_class: int = 10,
    tile_px: int = 64,
    mpp: float = 1.0,
    seed: int = 0,
    overwrite: bool = False,
) -> TileSet:
    """Draw a TileSet of synthetic H&E: eight classes, several patients each with their own stain; no split yet.

    Args:
        folder: Where it goes.
        patients: Number of patients.
        tiles_per_class: Tiles of each class a patient.
        tile_px: Side of a tile in pixels.
        mpp: µm per pixel.
        seed: Of patients and tiles.
        overwrite: Replace a TileSet that is there.
    """
    origin = Origin(
        verb="demo",
        source="synthetic tissue drawn by hviskd",
        options={"patients": patients, "tiles_per_class": tiles_per_class, "seed": seed},
        licence="Apache-2.0",
    )
    names = [tissue.name for tissue in TISSUE_CLASSES]
    with (
        progress_bar("draw tiles", patients * len(names) * tiles_per_class) as advance,
        TileSetWriter(
            folder,
            classes=names,
            tile_px=tile_px,
            mpp=mpp,
            colours=[tissue.colour for tissue in TISSUE_CLASSES],
            origin=origin,
            overwrite=overwrite,
        ) as writer,
    ):
        for patient in range(patients):
            look = draw_patient(seed * 10_000 + patient)
            for label, name in enumerate(names):
                for number in range(tiles_per_class):
                    tile_name = f"P{patient + 1:02d}-{name}-{number + 1:02d}"
                    rng = np.random.default_rng([seed, zlib.crc32(tile_name.encode())])
                    pixels = draw_tile(label, look, tile_px=tile_px, mpp=mpp, rng=rng)
                    writer.add(pixels, file=tile_name, class_name=name, patient=tile_name[:3])
                    advance()
    return TileSet.open(folder)


def run_demo(
    folder: str | Path,
    *,
    patients: int = 20,
    tiles_per_class: int = 10,
    epochs: int | None = None,
    device: str = "auto",
    overwrite: bool = False,
) -> Demo:
    """Draw tiles, split them by patient, train a teacher and three students, and measure all on unseen patients.

    Args:
        folder: Where everything goes: `tiles`, `runs`, `evaluation`.
        patients: Number of drawn patients.
        tiles_per_class: Tiles of each class a patient.
        epochs: Instead of the recipe's.
        device: Where to train.
        overwrite: Replace what an earlier demo left there.

    Raises:
        DataError: The folder holds something and `overwrite` is not set.
    """
    folder = Path(folder)
    _make_room(folder, overwrite=overwrite)
    drawn = draw_demo_tiles(folder / "tiles", patients=patients, tiles_per_class=tiles_per_class)
    tileset = split_tiles(drawn, by="patient", val=0.2, test=0.3)
    draw_contact_sheet(tileset, folder / "tiles" / "contact-sheet.png")
    changes = {} if epochs is None else {"epochs": epochs}
    runs = {
        "teacher": train(load_recipe(RECIPE, "teacher", changes), tileset, folder / "runs" / "teacher", device=device)
    }
    teacher = runs["teacher"].chosen()
    for name, method in STUDENTS.items():
        recipe = load_recipe(RECIPE, "distilled", {"methods": method, **changes})
        guide = None if method == "plain" else teacher
        runs[name] = train(recipe, tileset, folder / "runs" / name, teacher=guide, device=device)
    models = [model for name in (*STUDENTS, "teacher") for model in (runs[name].chosen(), runs[name].last())]
    evaluation = evaluate(models, tileset, device=device)
    evaluation.save(folder / "evaluation")
    return Demo(folder, tileset, runs, evaluation)


def _make_room(folder: Path, *, overwrite: bool) -> None:
    taken = [folder / name for name in ("tiles", "runs", "evaluation") if (folder / name).exists()]
    if taken and not (folder / MARK).is_file():
        raise DataError(f"{folder}: holds {taken[0].name}, which no demo made; choose another folder")
    if taken and not overwrite:
        raise DataError(f"{folder}: holds an earlier demo; choose another folder or pass --overwrite")
    for place in taken:
        shutil.rmtree(place)
    write_json(folder / MARK, {"made_by": "hviskd demo", "version": __version__})
