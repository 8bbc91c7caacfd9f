"""The whole workflow on synthetic slides: tiles, teacher, students, table, maps."""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hviskd.cutting import CutSettings, cut_slides
from hviskd.errors import DataError
from hviskd.evaluation import Evaluation, evaluate, save_evaluation
from hviskd.file_names import qc_folder
from hviskd.models import Compute
from hviskd.progress import Progress
from hviskd.segmentation import CohortMaps, segment_cohort
from hviskd.storage import write_json
from hviskd.synthesis.cohort import LEGEND, CohortSettings, SyntheticCohort, draw_cohort
from hviskd.tiles import TileSet, draw_contact_sheet, split_tiles
from hviskd.training import Run, Teaching, load_recipe, train
from hviskd.version import __version__

RECIPE = "demo"
MARK = "demo.json"  # what tells a demo's folder from a person's own work
TILE_PX = 64
COHORT = CohortSettings(patients=20, width_px=1800, height_px=1350, mpp=1.0)
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
    maps: CohortMaps

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        made = (f"{len(self.cohort.slides)} synthetic slides", f"{len(self.tileset):,} tiles", f"{len(self.runs)} runs")
        told = show.paragraph(f"{self.folder}", *made)
        return told + self.evaluation._repr_html_() + self.maps._repr_html_()


def run_demo(
    folder: str | Path,
    *,
    cohort: CohortSettings = COHORT,
    cap: int = 200,
    epochs: int | None = None,
    device: str = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Demo:
    """Generate and cut slides, split by patient, train a teacher and three students, evaluate, and map unseen patients.

    In a script, call it under `if __name__ == "__main__":`, since slides are generated in child processes.

    Args:
        folder: Folder for everything: `cohort`, `tiles`, `tiles-qc`, `runs`, `evaluation`, `maps`.
        cohort: The synthetic slides; tiles are cut at their µm/px.
        cap: Maximum number of tiles per class.
        epochs: Number of epochs instead of the recipe's.
        device: Compute device.
        overwrite: Replace an existing demo.
        progress: Called with done, total and what is being done; a bar by default.

    Raises:
        DataError: The folder is not empty and `overwrite` is not set, or the slides are too few or too small
            for every split to have tiles.
    """
    folder = Path(folder)
    _make_room(folder, overwrite=overwrite)
    drawn = draw_cohort(folder / "cohort", cohort, progress=progress)
    settings = CutSettings(tile_px=TILE_PX, mpp=cohort.mpp, purity=PURITY, cap=cap, licence="Apache-2.0")
    tileset = _cut(drawn, folder / "tiles", settings, progress)
    changes = {} if epochs is None else {"epochs": epochs}
    taught = partial(train, tileset=tileset, device=device, progress=progress)
    recipe = load_recipe(RECIPE, changes, role="teacher")
    runs = {"teacher": taught(recipe, folder=folder / "runs" / "teacher")}
    for name, method in STUDENTS.items():
        recipe = load_recipe(RECIPE, {"methods": method, **changes}, role="distilled student")
        # With few epochs the teacher may be no better than a guess: the demo then says so and goes on.
        teacher = None if method == "plain" else Teaching(runs["teacher"], allow_weak=True)
        runs[name] = taught(recipe, folder=folder / "runs" / name, teacher=teacher)
    compute = Compute(device=device)
    evaluation = evaluate([runs[name] for name in (*STUDENTS, "teacher")], tileset, compute=compute, progress=progress)
    save_evaluation(evaluation, folder / "evaluation")
    unseen = set(tileset.table.iloc[tileset.rows("test")]["patient"])
    slides = [drawn.folder / slide.file for slide in drawn.slides if slide.patient in unseen]
    maps = segment_cohort(runs["hviskd"], slides, folder / "maps", compute=compute, progress=progress)
    return Demo(folder, drawn, tileset, runs, evaluation, maps)


def _cut(cohort: SyntheticCohort, output: Path, settings: CutSettings, progress: Progress | None) -> TileSet:
    """Cut tiles from the cohort with its masks, and split them by patient."""
    cut = cut_slides(
        [cohort.folder / slide.file for slide in cohort.slides],
        output,
        annotations=cohort.folder / "masks",
        legend=LEGEND,
        patients=cohort.folder / "patients.csv",
        settings=settings,
        overwrite=True,  # what a killed demo had cut so far is of no use
        progress=progress,
    )
    # Seven patients in the test split: with six, no corrected test could show a gain of either of two students.
    tileset = split_tiles(cut, by="patient", val=0.15, test=0.35)
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
