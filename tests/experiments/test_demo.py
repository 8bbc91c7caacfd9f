"""The demo, small: everything it promises is there, and no patient is on two sides."""

import numpy as np
import pytest
from PIL import Image

from hviskd.errors import DataError
from hviskd.experiments import draw_demo_tiles, run_demo
from hviskd.tiles import check_leak


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return run_demo(tmp_path_factory.mktemp("demo") / "demo", patients=8, tiles_per_class=2, epochs=1, device="cpu")


def test_it_leaves_what_it_says(demo):
    assert set(demo.runs) == {"teacher", "alone", "kd", "hviskd"}
    assert all(run.finished for run in demo.runs.values())
    for picture in ("tiles/contact-sheet.png", "evaluation/comparison.png", "runs/hviskd/curves.png"):
        with Image.open(demo.folder / picture) as opened:
            assert min(opened.size) > 200
    assert (demo.folder / "evaluation" / "table.md").read_text().count("hviskd") >= 2


def test_it_measures_on_patients_apart(demo):
    report = check_leak(demo.tileset)
    assert not report.leaks
    assert report.known_by == "patient"
    assert demo.evaluation.unit == "patient"
    names = [model.name for model in demo.evaluation.models]
    assert names == ["alone", "alone-last", "kd", "kd-last", "hviskd", "hviskd-last", "teacher", "teacher-last"]


def test_students_are_told_apart_by_their_methods_alone(demo):
    recipes = {name: demo.runs[name].recipe for name in ("alone", "kd", "hviskd")}
    assert [list(recipes[name].methods) for name in recipes] == [
        ["cross_entropy"],
        ["cross_entropy", "kd"],
        ["cross_entropy", "kd", "hviskd"],
    ]
    budgets = [recipe.model_dump(exclude={"methods"}) for recipe in recipes.values()]
    assert budgets[0] == budgets[1] == budgets[2]


def test_an_earlier_demo_is_not_replaced_unasked(demo):
    with pytest.raises(DataError, match="--overwrite"):
        run_demo(demo.folder)


def test_a_person_s_own_folders_are_never_replaced(tmp_path):
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    with pytest.raises(DataError, match="which no demo made"):
        run_demo(tmp_path, overwrite=True)
    assert (tmp_path / "runs" / "mine").is_dir()


def test_the_same_seed_draws_the_same_tiles(tmp_path):
    first, again, other = (
        draw_demo_tiles(tmp_path / name, patients=2, tiles_per_class=1, seed=seed)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert first.fingerprint != other.fingerprint
