"""The whole workflow on synthetic slides: tiles, teacher, students, table, maps."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from hviskd.cutting import CutSettings, cut_slides
from hviskd.errors import DataError
from hviskd.evaluation import Evaluation, evaluate, save_evaluation
from hviskd.file_names import qc_folder
from hviskd.models import Compute
from hviskd.segmentation import SlideOutcome, segment_cohort
from hviskd.storage import write_json
from hviskd.synthesis.cohort import LEGEND, CohortSettings, SyntheticCohort, draw_cohort
from hviskd.tiles import TileSet, draw_contact_sheet, split_tiles
from hviskd.training import Run, load_recipe, train
from hviskd.version import __version__

RECIPE = "demo"
MARK = "demo.json"  # what tells a demo's folder from a person's own work
MPP = 1.0
TILE_PX = 64
PURITY = 0.75  # at 1, hardly a tile would fit into the palisades and tufts of so small a section
STUDENTS = {"alone": "plain", "kd": "kd", "hviskd": "hviskd"}


@dataclass(frozen=True)
class Demo:
    """The results of a demo.

    Attributes:
        folder: Everything it wrote.
        cohort: The drawn slides, one a patient, with their masks.
        tileset: The tiles cut from them, split by patient.
        runs: The teacher's and the students' runs, by name.
        evaluation: All of them on the test patients; the student alone is the reference.
        maps: The test patients' slides, mapped by the student that HVisKD taught.
    """

    folder: Path
    cohort: SyntheticCohort
    tileset: TileSet
    runs: dict[str, Run]
    evaluation: Evaluation
    maps: tuple[SlideOutcome, ...]


def run_demo(
    folder: str | Path,
    *,
    patients: int = 20,
    width_px: int = 1800,
    height_px: int = 1350,
    cap: int = 200,
    epochs: int | None = None,
    device: str = "auto",
    overwrite: bool = False,
) -> Demo:
    """Generate and cut slides, split by patient, train a teacher and three students, evaluate, and map unseen patients.

    In a script, call it under `if __name__ == "__main__":`, since slides are generated in child processes.

    Args:
        folder: Folder for everything: `cohort`, `tiles`, `tiles-qc`, `runs`, `evaluation`, `maps`.
        patients: Number of synthetic patients, with one slide each.
        width_px: Width of a slide, at 1 µm/px.
        height_px: Its height.
        cap: Maximum number of tiles per class.
        epochs: Number of epochs instead of the recipe's.
        device: Compute device.
        overwrite: Replace an existing demo.

    Raises:
        DataError: The folder is not empty and `overwrite` is not set, or the slides are too few or too small
            for every split to have tiles.
    """
    folder = Path(folder)
    _make_room(folder, overwrite=overwrite)
    drawn = CohortSettings(patients=patients, width_px=width_px, height_px=height_px, mpp=MPP)
    cohort = draw_cohort(folder / "cohort", drawn)
    tileset = _cut(cohort, folder / "tiles", cap)
    changes = {} if epochs is None else {"epochs": epochs}
    runs = {
        "teacher": train(
            load_recipe(RECIPE, changes, role="teacher"), tileset, folder / "runs" / "teacher", device=device
        )
    }
    teacher = runs["teacher"].chosen()
    for name, method in STUDENTS.items():
        recipe = load_recipe(RECIPE, {"methods": method, **changes}, role="distilled student")
        guide = None if method == "plain" else teacher
        runs[name] = train(recipe, tileset, folder / "runs" / name, teacher=guide, device=device)
    models = [model for name in (*STUDENTS, "teacher") for model in (runs[name].chosen(), runs[name].last())]
    evaluation = evaluate(models, tileset, compute=Compute(device=device))
    save_evaluation(evaluation, folder / "evaluation")
    unseen = set(tileset.table.iloc[tileset.rows("test")]["patient"])
    slides = [cohort.folder / slide.file for slide in cohort.slides if slide.patient in unseen]
    maps = segment_cohort(runs["hviskd"].chosen(), slides, folder / "maps", compute=Compute(device=device))
    return Demo(folder, cohort, tileset, runs, evaluation, tuple(maps))


def _cut(cohort: SyntheticCohort, output: Path, cap: int) -> TileSet:
    """Cut tiles from the cohort with its masks, and split them by patient."""
    cut = cut_slides(
        [cohort.folder / slide.file for slide in cohort.slides],
        output,
        annotations=cohort.folder / "masks",
        legend=LEGEND,
        patients=cohort.folder / "patients.csv",
        settings=CutSettings(tile_px=TILE_PX, mpp=MPP, purity=PURITY, cap=cap, licence="Apache-2.0"),
        overwrite=True,  # what a killed demo had cut so far is of no use
    )
    tileset = split_tiles(cut, by="patient", val=0.2, test=0.3)
    draw_contact_sheet(tileset, output / "contact-sheet.png")
    return tileset


def _make_room(folder: Path, *, overwrite: bool) -> None:
    tiles = folder / "tiles"
    places = (folder / "cohort", tiles, qc_folder(tiles), folder / "runs", folder / "evaluation", folder / "maps")
    taken = [place for place in places if place.exists()]
    if taken and not (folder / MARK).is_file():
        raise DataError(f"{folder}: contains {taken[0].name}, which is not from a demo; choose another folder")
    if taken and not overwrite:
        raise DataError(f"{folder}: contains an earlier demo; choose another folder or pass `overwrite=True`")
    for place in taken:
        shutil.rmtree(place)
    write_json(folder / MARK, {"made_by": "hviskd demo", "version": __version__})
