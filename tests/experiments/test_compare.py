"""A comparison with real trainings: killed with all its processes and resumed, it ends with the same table."""

import json
import shutil
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from distributed import LocalCluster
from PIL import Image
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.errors import DataError, LeakError, RecipeError, TrainingError
from hviskd.evaluation.significance import rank_arms
from hviskd.experiments import compare, load_design, workers
from hviskd.experiments.cells import Bench, Cell
from hviskd.experiments.comparing import side_by_side
from hviskd.experiments.comparison_files import draw_gains, draw_ranks, write_comparison
from hviskd.models import load_model
from hviskd.models.folder import CARD, INT8
from hviskd.processor import memory_bytes, usable_cpus
from hviskd.running import Part
from hviskd.storage import file_digest, read_json
from hviskd.tiles import TileSet, split_tiles
from tests.conftest import write_tiles
from tests.counting import counting
from tests.html_tables import read_tables
from tests.processes import start, wait_until

DESIGN = """
pairs: [tiny.yaml]
baselines: false
arms:
  - {name: student, methods: plain}
  - {name: kd, methods: kd, epochs: 2}
  - simkd
  - {name: exploding, methods: kd, settings: {learning_rate: 1.0e+30}}
  - {name: random, methods: kd, teacher: random}
  - {name: huge, methods: plain, settings: {batch_size: 4096}}
seeds: [0, 1]
settings: {epochs: 1, batch_size: 16}
"""
FEW = ("student", "kd", "exploding", "huge")


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiment")
    (folder / "tiny.yaml").write_text("teacher: {name: resnet8}\nstudent: {name: resnet8}\nlearning_rate: 0.01\n")
    (folder / "experiment.yaml").write_text(DESIGN)
    return folder / "experiment.yaml"


@pytest.fixture(scope="module")
def tileset(tmp_path_factory):
    """Six patients, two in each split, with 24 tiles each: three steps an epoch."""
    return write_tiles(tmp_path_factory.mktemp("data") / "tiles", patients=6)


class Here:
    """Trains in this process, at once: it takes seconds to start others, as the test that kills them does."""

    alive = True

    def __init__(self, bench, threads):
        self.bench, self.cell, self.result = bench, None, None

    def begin(self, cell):
        self.cell, self.result = cell, workers.attempt(self.bench, cell)

    def ended(self):
        if self.cell is None:
            return []
        cell, self.cell = self.cell, None
        return [(cell, *self.result)]

    def stop(self):
        assert self.cell is None


@contextmanager
def in_this_process():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "_Hand", Here)
        patch.setattr(workers, "_LOOK_S", 0)
        yield


@pytest.fixture
def here(without_curves, unpainted):
    with in_this_process():
        yield


@pytest.fixture(scope="module")
def outcome(experiment, tileset, tmp_path_factory, without_curves):
    folder = tmp_path_factory.mktemp("compared") / "out"
    with in_this_process():
        return compare(load_design(experiment), tileset, folder, jobs=1, device="cpu"), folder


def test_a_teacher_no_better_than_a_guess_teaches_only_when_that_is_allowed(experiment, tmp_path, here):
    """Tiles of noise alone, from which nothing can be learned."""
    tiles = write_tiles(tmp_path / "tiles", patients=6, step=0)
    changes = {"arms": ["kd", {"name": "random", "methods": "kd", "teacher": "random"}], "seeds": [0]}
    refused = compare(load_design(experiment, changes), tiles, tmp_path / "out", device="cpu")
    (problem,) = refused.failed.values()
    assert "no better than a guess" in problem
    assert "`allow_weak=True`" in problem
    assert not any("Distilled nevertheless" in note for note in refused.comparison.notes)
    words = ["compare", str(tmp_path / "out" / "experiment.yaml"), "--tiles", str(tiles.folder), "--device", "cpu"]
    allowed = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "out"), "--allow-weak-teacher", "--json"])
    assert allowed.exit_code == 0, allowed.output
    told = json.loads(allowed.stdout)
    assert any(note.startswith("Distilled nevertheless: the teacher") for note in told["notes"])
    assert told["verdict"]["sentences"][0] in allowed.stderr
    assert [row["arm"] for row in told["rows"]] == ["teacher", "kd", "random"]
    assert told["rows"][1]["gain_over_kd"] is None


def numbers(folder):
    table = pd.read_csv(folder / "table.csv")
    return table.drop(columns=[name for name in table if name == "seconds_ratio"])


def test_every_cell_is_counted_and_the_exploded_ones_are_named(outcome):
    result, folder = outcome
    assert result.left == 0
    rows = {row.arm: row for row in result.comparison.rows}
    assert list(rows) == ["teacher", "student", "kd", "simkd", "exploding", "random", "huge"]
    assert (rows["exploding"].trainings, rows["exploding"].diverged) == (0, 2)
    assert all(rows[arm].trainings == 2 for arm in rows if arm not in ("teacher", "exploding", "huge"))
    assert any(note.startswith("Diverged") and "exploding 2" in note for note in result.comparison.notes)
    assert rows["kd"].student_passes == 2
    assert any("kd 2 ×" in note for note in result.comparison.notes)
    assert rows["simkd"].parameters > rows["kd"].parameters
    assert rows["simkd"].multiply_adds > rows["kd"].multiply_adds == rows["student"].multiply_adds > 1e6
    assert (folder / "table.md").read_text().count("| tiny |") == 7


def test_all_arms_and_seeds_read_one_cache_of_their_teacher(outcome):
    _, folder = outcome
    (card,) = (read_json(path) for path in folder.glob("cache/*/card.json"))  # the untrained ones store nothing
    assert card["teacher"] == "resnet8-gap-fold0"


def test_a_cell_never_holds_the_test_split_in_memory(experiment, tmp_path):
    tileset = counting(write_tiles(tmp_path / "tiles", patients=6, tiles_per_class=40))
    bench = Bench(load_design(experiment), tmp_path / "out", [tileset], "cpu")
    cell = Cell(str(experiment.parent / "tiny.yaml"), bench.design.arms[0], 0, 0)
    bench.train(cell)
    assert len(tileset.rows("test")) == 240
    assert tileset.pixels.most == 128
    expected = load_model(bench.place(cell)).predict(tileset.pixels[tileset.rows("test")], device="cpu")
    np.testing.assert_allclose(bench.answers(cell)["chosen"], expected, atol=1e-5)


def test_the_table_is_what_the_models_say(outcome, experiment, tileset):
    result, folder = outcome
    bench = Bench(load_design(experiment), folder, [tileset], "cpu")
    rows = tileset.rows("test")
    tiles, labels = tileset.pixels[rows], tileset.labels[rows]
    arm = next(arm for arm in bench.design.arms if arm.name == "kd")
    places = [bench.place(Cell(str(experiment.parent / "tiny.yaml"), arm, seed, 0)) for seed in (0, 1)]
    by_hand = [(load_model(place / "model").predict(tiles).argmax(axis=1) == labels).mean() for place in places]
    row = next(row for row in result.comparison.rows if row.arm == "kd")
    assert row.chosen["top1"].mean == pytest.approx(sum(by_hand) / 2)
    assert row.gains["student"].value == pytest.approx(
        row.chosen["top1"].mean - next(r for r in result.comparison.rows if r.arm == "student").chosen["top1"].mean
    )


def test_a_teacher_that_never_learned_has_other_weights_for_each_seed(outcome):
    _, folder = outcome
    untrained = sorted((folder / "teachers").glob("*random*"))
    assert len(untrained) == 2
    first, second = (load_model(place).fingerprint for place in untrained)
    assert first != second


def test_every_file_is_there(outcome, tmp_path):
    result, folder = outcome
    written = {
        path.name for path in folder.iterdir() if path.is_file() and path.suffix in (".md", ".csv", ".tex", ".png")
    }
    files = {"table.md", "table.csv", "table.tex", "gains.png"}
    assert written == files  # an arm that always failed leaves no seed in which all arms can be ranked
    ranks = rank_arms([row.arm for row in result.comparison.rows], np.random.default_rng(0).random((2, 7)))
    write_comparison(replace(result.comparison, ranks=ranks), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*files, "ranks.png"}
    assert "\\toprule" in (folder / "table.tex").read_text()
    verdict = result.comparison.verdict
    assert verdict.outcome == "untold"  # from two trainings each
    assert (folder / "table.md").read_text().splitlines()[2] == str(verdict)
    assert json.loads((folder / "comparison.json").read_text())["verdict"] == verdict.to_dict()
    with Image.open(folder / "gains.png") as picture:
        assert min(picture.size) > 200


@pytest.mark.usefixtures("here")
def test_killed_with_all_its_processes_it_goes_on_and_ends_with_the_same_table(outcome, experiment, tileset, tmp_path):
    """With some of the arms, whose own numbers must be those of the whole experiment; Holm's depend on all arms."""
    of_reference, reference = outcome
    design = load_design(experiment)
    few = tmp_path / "few.yaml"
    few.write_text(design.model_copy(update={"arms": tuple(arm for arm in design.arms if arm.name in FEW)}).to_yaml())
    folder = tmp_path / "out"
    process = start(compare_two_at_a_time, few, tileset.folder, folder)
    wait_until(lambda: any(folder.glob("students/*/*/run.json")), process)
    process.kill()
    process.join()
    assert len(list(folder.glob("students/*/*/test.npz"))) < 4
    time.sleep(1)  # its workers notice
    told = []
    result = compare(
        load_design(few), str(tileset.folder), folder, jobs=1, device="cpu", progress=lambda *at: told.append(at)
    )
    assert told[0][0] < told[-1][0] == told[-1][1] - len(result.failed)
    assert told[-1][2].startswith("compare: tiny · ")
    assert (result.left, result.failed) == (0, of_reference.failed)
    whole = numbers(reference)
    pd.testing.assert_frame_equal(
        without_holm(numbers(folder)),
        without_holm(whole[whole["arm"].isin(["teacher", *FEW])].reset_index(drop=True)),
    )


@pytest.mark.usefixtures("unpainted", "without_curves")
def test_a_cluster_trains_the_same_weights(outcome, experiment, tileset, tmp_path, monkeypatch):
    """By a worker in this process; that the piece of one that dies goes to another is held in `tests/running`."""
    of_reference, reference = outcome
    design = load_design(experiment)
    arms = tuple(arm for arm in design.arms if arm.name in ("kd", "huge"))
    shutil.copy(experiment.parent / "tiny.yaml", tmp_path)
    (tmp_path / "few.yaml").write_text(design.model_copy(update={"arms": arms, "pairs": ("tiny.yaml",)}).to_yaml())
    monkeypatch.chdir(tmp_path)  # paths are relative to where the command runs
    words = f"compare few.yaml --tiles {tileset.folder} -o out --set seeds=[0] --device cpu --threads 1".split()
    place = {"processes": False, "protocol": "tcp", "dashboard_address": ":0", "silence_logs": "CRITICAL"}
    with LocalCluster(n_workers=1, threads_per_worker=1, **place) as cluster:
        done = CliRunner().invoke(app, [*words, "--scheduler", cluster.scheduler_address])
    assert done.exit_code == 1, done.output
    assert f"failed: tiny · huge, seed 0 · fold 0: {of_reference.failed['tiny · huge, seed 0 · fold 0']}" in done.output
    trained = sorted(path.relative_to("out") for path in Path("out").rglob("weights.safetensors"))
    assert {path.parts[-3] for path in trained} == {"resnet8-gap-fold0", "kd-fold0-seed0"}
    assert [file_digest(Path("out") / path) for path in trained] == [file_digest(reference / path) for path in trained]
    assert list(numbers(Path("out"))["arm"]) == ["teacher", "kd", "huge"]


def test_where_a_cluster_trains_is_said_once(experiment, tileset, tmp_path):
    words = ["compare", str(experiment), "--tiles", str(tileset.folder), "-o", str(tmp_path / "out")]
    for options, said in (
        (["--jobs", "2"], "--jobs 2: omit it, since each worker of --scheduler does one training at a time"),
        (["--minutes", "5"], "--minutes 5: omit it on a cluster; stop the command, and repeat it to continue"),
    ):
        done = CliRunner().invoke(app, [*words, "--scheduler", "local:2", *options])
        assert (done.exit_code, done.stderr) == (2, f"error: {said}\n")
    with pytest.raises(DataError, match="must be a number of trainings in parallel, or a `Dask` cluster"):
        compare(load_design(experiment), tileset, tmp_path / "out", jobs=Part(1, 2))
    assert not (tmp_path / "out").exists()


def compare_two_at_a_time(design, tiles, folder):
    compare(load_design(design), TileSet.open(tiles), folder, jobs=2, device="cpu")


def without_holm(table):
    return table.drop(columns=[name for name in table if name.endswith("_holm")])


def test_another_experiment_does_not_get_into_the_folder(outcome, experiment, tileset, tmp_path):
    _, folder = outcome
    with pytest.raises(TrainingError, match="other settings"):
        compare(load_design(experiment, {"settings.epochs": 3}), tileset, folder, device="cpu")
    with pytest.raises(DataError, match="`jobs=0`: must be at least 1"):
        compare(load_design(experiment), tileset, folder, jobs=0, device="cpu")
    (tmp_path / "work.txt").write_text("mine")
    with pytest.raises(TrainingError, match="contains files but no experiment"):
        compare(load_design(experiment), tileset, tmp_path, device="cpu")


def test_every_core_trains_as_far_as_memory_goes():
    assert (
        side_by_side("cpu", 1, 64) == side_by_side("cpu", 1, 32) == max(1, min(usable_cpus(), memory_bytes() // 2**31))
    )
    assert side_by_side("cpu", usable_cpus() + 1, 64) == 1
    assert side_by_side("cpu", 1, 64 * 1024) == 1


def test_a_cell_that_cannot_be_trained_is_named_and_the_others_finish(outcome):
    result, _ = outcome
    assert sorted(result.failed) == [f"tiny · huge, seed {seed} · fold 0" for seed in (0, 1)]
    assert all("`batch_size=4096`" in problem for problem in result.failed.values())
    assert next(row for row in result.comparison.rows if row.arm == "huge").trainings == 0
    assert any("Failed" in note for note in result.comparison.notes)


def test_pictures_of_many_arms_and_of_few_can_be_drawn(outcome):
    comparison = outcome[0].comparison
    draw_gains(comparison)
    assert comparison.ranks is None or draw_ranks(comparison.ranks)


def test_it_shows_itself_in_a_notebook(outcome):
    result, _ = outcome
    header, rows = result.comparison.summary_table()
    shown = read_tables(result._repr_html_())
    assert shown[-1 - len(rows) :] == [header, *rows]
    assert [row[0] for row in shown[1:3]] == list(result.failed)
    assert result.comparison.notes[0].split(":")[0] in result.comparison._repr_html_()


def with_an_int8_variant(model, folder):
    """A copy of a Model that says it has one, of which only the digest is true."""
    shutil.copytree(model, folder)
    (folder / INT8).write_bytes(b"not looked into")
    card = json.loads((folder / CARD).read_text())
    counted = {"data": "t", "data_fingerprint": "0", "calibration_split": "train"}
    counted |= {"calibration_tiles": 1, "val_tiles": 1}
    shares = {"top1_float": 1.0, "top1_int8": 1.0, "agreement": 1.0, "largest_difference": 0.0}
    card["int8"] = {"sha256": file_digest(folder / INT8), "engine": "onnxruntime", **counted, **shares}
    (folder / CARD).write_text(json.dumps(card))
    assert load_model(folder).card.int8 is not None
    return folder


def test_a_finished_teacher_teaches_in_every_pair(outcome, experiment, tileset, tmp_path, here):
    name = "resnet8-gap-fold0"
    trained = with_an_int8_variant(outcome[1] / "teachers" / name / "model", tmp_path / name)
    few = {"seeds": [0], "arms": ["kd"], "teacher": str(trained)}
    folder = tmp_path / "out"
    result = compare(load_design(experiment, few), tileset, folder, device="cpu")
    assert [entry.name for entry in (folder / "teachers").iterdir()] == ["given"]
    given, before = load_model(folder / "teachers" / "given"), load_model(trained)
    assert given.fingerprint == before.fingerprint
    assert given.card.int8 is None
    assert load_model(folder / "students/tiny/kd-fold0-seed0").card.teacher.fingerprint == before.fingerprint
    teacher, kd = result.comparison.rows
    row = next(row for row in outcome[0].comparison.rows if row.arm == "teacher")
    assert teacher.chosen["top1"].mean == pytest.approx(row.chosen["top1"].mean)
    assert teacher.parameters == row.parameters
    assert kd.teacher_passes == 1
    assert any("one teacher for all, resnet8-gap-fold0" in note for note in result.comparison.notes)

    with pytest.raises(TrainingError, match="other teacher"):
        compare(load_design(experiment, few | {"teacher": None}), tileset, folder, device="cpu")
    with pytest.raises(RecipeError, match="test patients of other folds"):
        load_design(experiment, few | {"folds": 2})
    with pytest.raises(RecipeError, match="not trained"):
        load_design(experiment, few | {"teacher_settings": {"epochs": 2}})


def test_a_teacher_of_another_split_may_have_seen_the_test_tiles(outcome, experiment, tmp_path):
    resplit = split_tiles(write_tiles(tmp_path / "tiles", patients=6), val=0.3, test=0.3, seed=5)
    design = load_design(experiment, {"teacher": str(outcome[1] / "teachers" / "resnet8-gap-fold0")})
    with pytest.raises(LeakError, match="^(?!.*allow).*another split"):
        compare(design, resplit, tmp_path / "out", device="cpu")


def test_the_name_of_a_design_is_not_a_design(tileset, tmp_path):
    with pytest.raises(RecipeError, match=r"`design='laptop'`.*`load_design\(\)`"):
        compare("laptop", tileset, tmp_path / "comparison")
    assert not list(tmp_path.iterdir())


def test_unlabelled_tiles_join_in_the_arms_that_say_so(experiment, tileset, tmp_path, here):
    more = write_tiles(tmp_path / "more", patients=1, splits=False, seed=4, classes=("x", "y"))
    arms = ["kd", {"name": "joined", "methods": "kd", "unlabelled": True}]
    changes = {"arms": arms, "seeds": [0], "unlabelled": str(more.folder), "allow_weak_teacher": True}
    with pytest.raises(LeakError, match="^(?!.*allow).*among the unlabelled tiles"):
        compare(
            load_design(experiment, changes | {"unlabelled": str(tileset_copy(tmp_path))}), tileset, tmp_path / "no"
        )
    outcome = compare(load_design(experiment, changes), tileset, tmp_path / "out", jobs=1, device="cpu")
    assert not outcome.failed
    joined = {path.parent.parent.name: load_model(path.parent).card.data.unlabelled
              for path in (tmp_path / "out").rglob("model/model.json")}  # fmt: skip
    assert sorted(record.tiles for record in joined.values() if record is not None) == [16]
    assert list(joined.values()).count(None) == 2


def tileset_copy(folder):
    """Tiles of the patients of all splits."""
    return write_tiles(folder / "same", patients=6, splits=False, seed=9).folder
