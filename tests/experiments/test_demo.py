"""The demo, small: everything it promises is there, and no patient is on two sides."""

import re

import pytest
from PIL import Image

from hviskd.cutting import read_report
from hviskd.errors import DataError
from hviskd.experiments import run_demo
from hviskd.file_names import qc_folder
from hviskd.pictures import new_figure
from hviskd.reports.report import write_report
from hviskd.slides import open_slide
from hviskd.synthesis import TISSUE_CLASSES, CohortSettings
from hviskd.tiles import check_leak
from hviskd.training import load_recipe
from tests.html_tables import read_tables

from ..browser import look_at

pytestmark = pytest.mark.slow


SMALL = CohortSettings(patients=8, width_px=560, height_px=420, mpp=2.0)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "demo"
    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hviskd.synthesis.cohort.usable_cpus", lambda: 1)  # to start processes takes longer than to draw
        for of_each_model in ("roc_figure", "confusion_figure"):  # of ten models; looked at by the tests of figures
            patch.setattr(f"hviskd.evaluation.files.{of_each_model}", lambda *_, **__: new_figure(3, 3, arranged=False))
        made = run_demo(folder, cohort=SMALL, cap=32, epochs=1, device="cpu", progress=lambda *at: told.append(at[2]))
    stages = {what.split(":")[0] for what in told}
    assert {"train teacher", "train hviskd", "classify with hviskd", "resample"} <= stages
    assert len(stages) > 8  # draw, cut and map, too
    return made


def test_it_leaves_what_it_says(demo):
    assert set(demo.runs) == {"teacher", "alone", "kd", "hviskd", "kd-unlabelled"}
    assert all(run.finished for run in demo.runs.values())
    for picture in (
        "tiles/contact-sheet.png",
        "tiles-qc/P04-1.png",
        "evaluation/comparison.png",
        "runs/hviskd/curves.png",
    ):
        with Image.open(demo.folder / picture) as opened:
            assert min(opened.size) > 200
    assert (demo.folder / "evaluation" / "table.md").read_text().count("hviskd") >= 2


def test_its_tiles_are_squares_of_its_slides_in_the_classes_of_their_masks(demo):
    assert not read_report(qc_folder(demo.tileset.folder)).failed
    assert demo.tileset.classes == tuple(tissue.name for tissue in TISSUE_CLASSES)
    assert set(demo.tileset.table["slide"]) == {slide.slide for slide in demo.cohort.slides[3:]}
    trained = demo.tileset.table.iloc[demo.tileset.rows("train")]
    assert set(trained["class"]) == set(demo.tileset.classes)
    number = int(demo.tileset.rows("test")[0])
    row = demo.tileset.table.iloc[number]
    with open_slide(demo.cohort.folder / "slides" / f"{row['slide']}.svs") as slide:
        square = slide.read(row["x_px"], row["y_px"], 32, 32)
    assert (square == demo.tileset.pixels[number]).all()
    colour = demo.tileset.card.colours[demo.tileset.classes.index(row["class"])]
    with Image.open(demo.cohort.folder / "masks" / f"{row['slide']}_L.png") as mask:
        part = mask.convert("RGB").crop((row["x_px"], row["y_px"], row["x_px"] + 32, row["y_px"] + 32))
    share = sum(count for count, found in part.getcolors() if found == colour) / 32**2
    assert share > 0.7


def test_it_measures_on_patients_apart(demo):
    report = check_leak(demo.tileset)
    assert not report.leaks
    assert report.known_by == "patient"
    assert demo.evaluation.unit == "patient"
    names = [model.name for model in demo.evaluation.models]
    trained = ("alone", "kd", "hviskd", "kd-unlabelled", "teacher")
    assert names == [name + part for name in trained for part in ("", "-last")]


def test_no_patient_teaches_here_and_there_or_is_measured_where_it_taught(demo):
    sets = [set(tiles.table["patient"]) for tiles in (demo.elsewhere, demo.unlabelled, demo.tileset)]
    assert [len(patients) for patients in sets] == [2, 1, 5]
    assert len(set.union(*sets)) == 8
    assert not demo.unlabelled.labelled


def test_it_maps_the_slides_of_unseen_patients(demo):
    unseen = set(demo.tileset.table.iloc[demo.tileset.rows("test")]["slide"])
    assert {outcome.slide.stem for outcome in demo.maps} == unseen
    assert all(outcome.state == "done" and outcome.summary.tiles for outcome in demo.maps)


def test_its_report_opens_without_network_or_complaint(demo, tmp_path):
    path = tmp_path / "report.html"
    told = []
    write_report(str(demo.folder), str(path), progress=lambda *at: told.append(at))
    assert told[-1][0] == told[-1][1] == 7  # five runs, the evaluation and the maps
    seen = look_at(path)
    assert seen.requests == [path.as_uri()]
    assert seen.complaints == []
    assert all(width > 200 for width in seen.picture_widths)
    assert len(seen.picture_widths) == 1 + 2 + 2 * 5 + len(demo.maps)  # curves; shared; ROC, confusion; maps
    assert demo.evaluation.verdict.sentences[0] in seen.text
    assert seen.headings == [
        "In short",
        "Training runs",
        "Evaluation: evaluation",
        "Slide maps: maps",
        "Limitations",
        "How to reproduce",
    ]
    assert "No patient appears in more than one split" in seen.text
    assert not re.search(r"P0\d(?!-)", seen.text)  # the slides' names alone


def test_a_reports_recipe_repeats_the_training(demo):
    for run in demo.runs.values():
        for role in ("teacher", "student", "distilled student"):
            assert load_recipe(str(run.recipe_file), role=role) == run.recipe


def test_students_are_told_apart_by_their_methods_alone(demo):
    recipes = {name: demo.runs[name].recipe for name in demo.runs if name != "teacher"}
    assert [list(recipes[name].methods) for name in recipes] == [
        ["cross_entropy"],
        ["cross_entropy", "kd"],
        ["cross_entropy", "kd", "hviskd"],
        ["cross_entropy", "kd"],
    ]
    budgets = [recipe.model_dump(exclude={"methods", "epochs"}) for recipe in recipes.values()]
    assert all(budget == budgets[0] for budget in budgets)


def test_students_make_the_same_number_of_steps(demo):
    logs = {name: run.log for name, run in demo.runs.items() if name != "teacher"}
    assert [len(log) for log in logs.values()] == [2, 2, 2, 1]  # an epoch of half as many labelled tiles a batch


def test_an_earlier_demo_is_not_replaced_unasked(demo):
    with pytest.raises(DataError, match="`overwrite=True`"):
        run_demo(demo.folder)


def test_a_person_s_own_folders_are_never_replaced(tmp_path):
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    with pytest.raises(DataError, match="which is not from a demo"):
        run_demo(tmp_path, overwrite=True)
    assert (tmp_path / "runs" / "mine").is_dir()


def test_it_shows_itself_in_a_notebook(demo):
    shown = read_tables(demo._repr_html_())
    header, rows = demo.evaluation.summary_table()
    assert shown[: 1 + len(rows)] == [header, *rows]
    assert [row[0] for row in shown[-len(demo.maps) :]] == [outcome.slide.name for outcome in demo.maps]
