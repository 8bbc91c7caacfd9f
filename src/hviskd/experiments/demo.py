"""The whole workflow on synthetic slides: tiles, teacher, students, table, maps.

It plays the case that distilling is for: another hospital's teacher saw many outlined slides; here, few slides are
outlined and some are not. All students learn from the former, one of them from the latter, too.
"""

import shutil
from dataclasses import dataclass, replace
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
TILE_PX = 32
COHORT = CohortSettings(patients=24, width_px=900, height_px=675, mpp=2.0)
PURITY = 0.75  # at 1, hardly a tile would fit into the palisades and tufts of so small a section
MORE = 2  # times as many tiles of each class for the teacher
KD = {"cross_entropy": {}, "kd": {"temperature": 2.0, "weight": 1.0}}
STUDENTS = {"alone": "plain", "kd": KD, "hviskd": "hviskd", "kd-unlabelled": KD}
WITH_UNLABELLED = "kd-unlabelled"


@dataclass(frozen=True)
class Demo:
    """The results of a demo.

    Attributes:
        folder: Everything it wrote.
        cohort: The drawn slides, one a patient, with their masks.
        elsewhere: The tiles that the teacher learned from, of patients that are in no other set.
        tileset: The few outlined tiles of here, split by patient.
        unlabelled: Tiles of further patients of here, whose slides are not outlined.
        runs: The teacher's and the students' runs, by name.
        evaluation: All of them on the test patients; the student alone is the reference.
        maps: The test patients' slides, mapped by the student that learned from the unlabelled tiles, too.
    """

    folder: Path
    cohort: SyntheticCohort
    elsewhere: TileSet
    tileset: TileSet
    unlabelled: TileSet
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
    cap: int = 100,
    epochs: int | None = None,
    device: str = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Demo:
    """Generate and cut slides, train a teacher and four students, evaluate them, and map unseen patients.

    A third of the patients are another hospital's: the teacher learns from their tiles alone. Of a sixth there are
    slides without outlines; the other half is split by patient into train, val and test. All students make
    the same number of steps.

    In a script, call it under `if __name__ == "__main__":`, since slides are generated in child processes.

    Args:
        folder: Folder for everything: `cohort`, `elsewhere`, `tiles`, `unlabelled`, each with its `-qc`, `runs`,
            `evaluation`, `maps`.
        cohort: The synthetic slides, of six patients at least; tiles are cut at their µm/px.
        cap: Maximum number of tiles per class, of the students' labelled tiles and of the teacher's.
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
    elsewhere, tileset, unlabelled = _cut(drawn, folder, cohort.mpp, cap, progress)
    runs = _train(folder / "runs", elsewhere, tileset, unlabelled, epochs, device, progress)
    compute = Compute(device=device)
    evaluation = evaluate([runs[name] for name in (*STUDENTS, "teacher")], tileset, compute=compute, progress=progress)
    save_evaluation(evaluation, folder / "evaluation")
    unseen = set(tileset.table.iloc[tileset.rows("test")]["patient"])
    slides = [drawn.folder / slide.file for slide in drawn.slides if slide.patient in unseen]
    maps = segment_cohort(runs[WITH_UNLABELLED], slides, folder / "maps", compute=compute, progress=progress)
    return Demo(folder, drawn, elsewhere, tileset, unlabelled, runs, evaluation, maps)


def _cut(
    cohort: SyntheticCohort, folder: Path, mpp: float, cap: int, progress: Progress | None
) -> tuple[TileSet, TileSet, TileSet]:
    """Cut the teacher's tiles and the outlined ones of here with their masks, and the others without."""
    slides = [cohort.folder / slide.file for slide in cohort.slides]
    there, rest = len(slides) // 3, len(slides) // 6
    cut = partial(
        cut_slides,
        patients=cohort.folder / "patients.csv",
        overwrite=True,  # what a killed demo had cut so far is of no use
        progress=progress,
    )
    outlined = partial(cut, annotations=cohort.folder / "masks", legend=LEGEND)
    few = CutSettings(tile_px=TILE_PX, mpp=mpp, purity=PURITY, cap=cap, licence="Apache-2.0")
    many = replace(few, cap=MORE * cap)
    theirs = outlined(slides[:there], folder / "elsewhere", settings=many)
    elsewhere = split_tiles(theirs, by="patient", val=0.25, test=0)
    ours = outlined(slides[there + rest :], folder / "tiles", settings=few)
    # Eight patients in the test split: fewer than seven, and no corrected test could show a gain of one of three
    # students.
    tileset = split_tiles(ours, by="patient", val=1 / 6, test=2 / 3)
    more = replace(few, cap=2 * MORE * cap)  # it counts tiles, not tiles of each class
    unlabelled = cut(slides[there : there + rest], folder / "unlabelled", annotations=None, legend=None, settings=more)
    draw_contact_sheet(tileset, tileset.folder / "contact-sheet.png")
    return elsewhere, tileset, unlabelled


def _train(
    folder: Path,
    elsewhere: TileSet,
    tileset: TileSet,
    unlabelled: TileSet,
    epochs: int | None,
    device: str,
    progress: Progress | None,
) -> dict[str, Run]:
    """Train the teacher on its own tiles, and every student with as many steps as any other."""
    taught = partial(train, device=device, progress=progress)
    changes = {} if epochs is None else {"epochs": epochs}
    recipe = load_recipe(RECIPE, changes, role="teacher")
    recipe = recipe.model_copy(update={"epochs": -(-recipe.epochs // 2)})  # each has many times the students' tiles
    runs = {"teacher": taught(recipe, elsewhere, folder / "teacher")}
    for name, methods in STUDENTS.items():
        recipe = load_recipe(RECIPE, {"methods": methods, **changes}, role="distilled student")
        teacher = None
        if methods != "plain":
            # With few epochs the teacher may be no better than a guess: the demo then says so and goes on.
            more = unlabelled if name == WITH_UNLABELLED else None
            teacher = Teaching(runs["teacher"], allow_weak=True, unlabelled=more)
        if name != WITH_UNLABELLED:  # half of whose batches are unlabelled: an epoch takes it twice the steps
            recipe = recipe.model_copy(update={"epochs": 2 * recipe.epochs})
        runs[name] = taught(recipe, tileset, folder / name, teacher=teacher)
    return runs


def _make_room(folder: Path, *, overwrite: bool) -> None:
    cut = [folder / name for name in ("elsewhere", "tiles", "unlabelled")]
    made = [folder / name for name in ("cohort", "runs", "evaluation", "maps")]
    places = [*made, *cut, *map(qc_folder, cut)]
    taken = [place for place in places if place.exists()]
    if taken and not (folder / MARK).is_file():
        raise DataError(f"{folder}: contains {taken[0].name}, which is not from a demo; choose another folder")
    if taken and not overwrite:
        raise DataError(f"{folder}: contains an earlier demo; choose another folder or pass `overwrite=True`")
    for place in taken:
        shutil.rmtree(place)
    write_json(folder / MARK, {"made_by": "hviskd demo", "version": __version__})
