"""The training loop on real tiles: it learns, repeats itself, survives a kill, and says clearly why it stops."""

import shutil
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from lightning_fabric import Fabric
from PIL import Image
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.errors import DataError, LeakError, ModelError, RecipeError, TrainingError
from hviskd.evaluation import evaluate
from hviskd.models import IMAGENET, InputStep, load_model
from hviskd.networks import create_network
from hviskd.tiles import TileSet, import_cifar, split_tiles
from hviskd.tiles.augmentation import augment
from hviskd.training import Run, Teaching, load_recipe, train
from hviskd.training.setup import build_learner
from tests.conftest import STRIDE, write_tiles
from tests.html_tables import read_tables
from tests.processes import start, start_hviskd, wait_until
from tests.tiles.cifar_samples import write_cifar

QUICK = {"network": "resnet8", "network_arguments": STRIDE, "epochs": 3, "batch_size": 16, "learning_rate": 0.005}


def weights(run: Run, which="model-last"):
    return load_file(run.folder / which / "weights.safetensors")


def equal(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(autouse=True)
def without_curves(monkeypatch):
    """To draw them takes as long as so short a training; those of `student_run`, made before this, are looked at."""
    monkeypatch.setattr("hviskd.training.fit.draw_curves", lambda *_, **__: None)


@pytest.fixture(scope="module")
def student_run(tileset, teacher_run, tmp_path_factory):
    varied = {"augmentation": "shift_and_flip", "stain_jitter": 0.2}
    recipe = load_recipe(None, QUICK | varied, role="distilled student")
    return train(recipe, tileset, tmp_path_factory.mktemp("runs") / "student", teacher=teacher_run.chosen())


@pytest.mark.slow
def test_it_learns_what_is_easy(teacher_run, tileset):
    model = teacher_run.chosen()
    rows = tileset.rows("test")
    right = model.predict(tileset.pixels[rows]).argmax(axis=1) == tileset.labels[rows]
    assert right.mean() > 0.6  # a third by chance


@pytest.mark.slow
def test_a_finished_run_holds_what_it_promises(student_run):
    names = {entry.name for entry in student_run.folder.iterdir() if entry.name[0] != "."} - {"tensorboard"}
    assert names == {"run.json", "recipe.yaml", "log.csv", "curves.png", "model", "model-last"}
    assert student_run.finished
    with Image.open(student_run.curves_file) as picture:
        assert min(picture.size) > 500
    log = student_run.log
    assert list(log["epoch"]) == [1, 2, 3]
    terms = ["cross_entropy", "kd", *(f"hviskd/{level}_{what}" for level in ("sample", "region")
             for what in ("relation", "feature"))]  # fmt: skip
    wanted = {f"loss_{term}" for term in [*terms, "total"]} | {
        "hviskd/alpha",
        "hviskd/beta",
        "learning_rate",
        "seconds",
    }
    wanted |= {"train_top1", "val_top1", "val_balanced_accuracy", "val_cross_entropy"}
    assert wanted <= set(log.columns)
    assert log[sorted(wanted)].notna().all().all()
    assert (log["hviskd/alpha"] != 0).all()


def test_the_logged_total_is_the_weighted_sum_of_the_logged_terms(student_run):
    row = student_run.log.iloc[-1]
    methods = student_run.recipe.methods
    total = methods["cross_entropy"].weight * row["loss_cross_entropy"] + methods["kd"].weight * row["loss_kd"]
    hviskd = methods["hviskd"]
    for term in ("sample_relation", "sample_feature", "region_relation", "region_feature"):
        total += hviskd.weight * getattr(hviskd, term) * row[f"loss_hviskd/{term}"]
    assert row["loss_total"] == pytest.approx(total, rel=1e-4)


def test_the_chosen_epoch_is_the_first_best_on_val(student_run):
    log = student_run.log
    best = int(log["epoch"][log["val_balanced_accuracy"].idxmax()])
    chosen = student_run.chosen()
    assert chosen.card.epoch == student_run.card["chosen_epoch"] == best
    assert student_run.last().card.epoch == 3
    assert chosen.card.metrics["val_top1"] == pytest.approx(log["val_top1"][best - 1], rel=1e-6)


def test_the_card_tells_where_the_student_comes_from(student_run, teacher_run, tileset):
    card = student_run.chosen().card
    assert card.teacher.fingerprint == teacher_run.chosen().fingerprint
    assert card.data.fingerprint == tileset.fingerprint
    assert (card.data.train_tiles, card.data.val_tiles) == (72, 48)
    assert card.recipe == student_run.recipe.model_dump(mode="json")
    assert (card.recipe["augmentation"], card.recipe["stain_jitter"]) == ("shift_and_flip", 0.2)
    assert [licence.licence for licence in card.licences] == ["CC0"]
    assert (card.tile_px, card.mpp, card.classes) == (32, 1.0, tileset.classes)
    assert str(tileset.folder.parent) not in (student_run.folder / "model" / "model.json").read_text()


@pytest.mark.slow
def test_the_same_recipe_gives_the_same_weights(student_run, tileset, teacher_run, tmp_path):
    again = train(student_run.recipe, tileset, tmp_path / "again", teacher=teacher_run.chosen())
    assert equal(weights(again), weights(student_run))
    other = student_run.recipe.model_copy(update={"seed": 1})

    def after_an_epoch(done, total, what):
        if logged(tmp_path / "other"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(other, tileset, tmp_path / "other", teacher=teacher_run.chosen(), progress=after_an_epoch)
    assert Run(tmp_path / "other").log["loss_total"][0] != pytest.approx(student_run.log["loss_total"][0], rel=1e-4)


@pytest.mark.slow
def test_several_threads_give_the_same_weights_every_time(tileset, tmp_path):
    recipe = load_recipe(None, QUICK | {"epochs": 1}, role="student")
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        first, second = (train(recipe, tileset, tmp_path / name, device="cpu") for name in ("first", "second"))
    finally:
        torch.set_num_threads(before)
    assert first.card["machine"]["threads"] == 3
    assert equal(weights(first), weights(second))


def test_the_teacher_s_file_and_network_stay_as_they_were(student_run, teacher_run):
    load_model(teacher_run.folder)  # checks the fingerprint
    assert equal(load_model(teacher_run.folder).network.state_dict(), weights(teacher_run, "model"))


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_the_same_weights(student_run, tileset, teacher_run, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(student_run.recipe.to_yaml())
    folder = tmp_path / "killed"
    arguments = ["distill", tileset.folder, "-o", folder, "--teacher", teacher_run.folder, "--recipe", recipe]
    killed_at = []
    for epoch in (1, 2):
        resume = ["--resume"] if folder.exists() else []
        process = start_hviskd(*arguments, *resume)
        wait_until(lambda epoch=epoch: logged(folder) >= epoch, process)
        process.kill()
        process.join()
        killed_at.append(logged(folder))
        assert not Run(folder).finished
    assert killed_at[0] < 3
    refused = CliRunner().invoke(app, [str(word) for word in arguments])
    assert refused.exit_code == 2
    assert "--resume" in refused.stderr
    done = CliRunner().invoke(app, [*(str(word) for word in arguments), "--resume"])
    assert done.exit_code == 0, done.output
    assert str(folder / "model") in done.stdout
    for which in ("model", "model-last"):
        assert equal(weights(Run(folder), which), weights(student_run, which))
    timeless = student_run.log.drop(columns="seconds")
    pd.testing.assert_frame_equal(Run(folder).log.drop(columns="seconds"), timeless)


def logged(folder: Path) -> int:
    file = Run(folder).log_file
    return file.read_text().count("\n") - 1 if file.is_file() else 0


def as_from_a_shell(words):
    """Run a command that starts others as `python -m hviskd` would."""
    sys.argv = ["hviskd", *words]
    sys.modules["__main__"].__spec__ = find_spec("hviskd.__main__")
    app(words)


@pytest.mark.slow
def test_two_processes_train_one_student(tileset, teacher_run, tmp_path):
    recipe = load_recipe(None, QUICK | {"epochs": 2}, role="distilled student")
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    words = ["distill", tileset.folder, "-o", tmp_path / "two", "--teacher", teacher_run.folder]
    words += ["--recipe", tmp_path / "recipe.yaml", "--processes", "2", "--device", "cpu"]
    both = start(as_from_a_shell, [str(word) for word in words], says=tmp_path / "said.txt")
    one = train(recipe, tileset, tmp_path / "one", teacher=teacher_run.chosen(), device="cpu")
    both.join()
    assert both.exitcode == 0, (tmp_path / "said.txt").read_text()
    run = Run(tmp_path / "two")
    assert run.finished
    assert len(run.log) == 2
    assert run.card["machine"]["processes"] == 2
    ours, theirs = (load_file(each.folder / "model-last" / "weights.safetensors") for each in (run, one))
    for name, weight in ours.items():  # among them what its batch normalisations saw
        torch.testing.assert_close(weight, theirs[name], rtol=1e-3, atol=1e-3)
    columns = [name for name in one.log.columns if name != "seconds"]
    np.testing.assert_allclose(run.log[columns], one.log[columns], rtol=1e-3, atol=1e-3)


def test_a_loss_that_explodes_stops_the_run_with_its_name(tileset, teacher_run, tmp_path):
    recipe = load_recipe(None, QUICK | {"learning_rate": 1e6, "epochs": 50}, role="distilled student")
    with pytest.raises(TrainingError, match=r"epoch \d+, step \d+: the loss '.+' is (nan|inf|-inf)"):
        train(recipe, tileset, tmp_path / "run", teacher=teacher_run.chosen())
    assert not Run(tmp_path / "run").finished


@pytest.mark.slow
def test_weights_ruined_by_the_last_step_of_an_epoch_are_never_kept(tileset, tmp_path):
    recipe = load_recipe(None, QUICK | {"learning_rate": 1e30, "batch_size": 72}, role="student")  # one step an epoch
    with pytest.raises(TrainingError, match=r"epoch \d+"):
        train(recipe, tileset, tmp_path / "run")
    run = Run(tmp_path / "run")
    assert not run.finished
    if run.checkpoint_file.is_file():
        kept = torch.load(run.checkpoint_file, weights_only=True)["networks"]
        assert all(value.isfinite().all() for value in kept.values())


def test_val_measurements_on_the_cards_are_those_of_the_saved_weights(student_run, tileset):
    rows = tileset.rows("val")
    for model in (student_run.chosen(), student_run.last()):
        probabilities = model.predict(tileset.pixels[rows])
        right = probabilities.argmax(axis=1) == tileset.labels[rows]
        assert right.mean() == pytest.approx(model.card.metrics["val_top1"], abs=1e-9)
        loss = -np.log(probabilities[np.arange(len(rows)), tileset.labels[rows]]).mean()
        assert loss == pytest.approx(model.card.metrics["val_cross_entropy"], rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("augmentation", "strength", "rates"),
    [
        ("turn_and_flip", 0.0, [0.005, 0.005, 0.0005]),
        ("shift_and_flip", 0.2, [0.005, 0.0005]),
        ("none", 0.0, [0.005, 0.0005]),
    ],
)
def test_the_steps_are_those_of_a_loop_written_by_hand(tileset, tmp_path, augmentation, strength, rates):
    """Epochs of two steps: order, augmentation, momentum, weight decay and the decay of the learning rate."""
    changes = QUICK | {"network_arguments": {}, "batch_size": 32, "decay_at": [0.5], "weight_decay": 0.01}
    changes |= {"augmentation": augmentation, "stain_jitter": strength, "epochs": len(rates)}
    recipe = load_recipe(None, changes, role="student")
    run = train(recipe, tileset, tmp_path / "run", device="cpu")
    torch.manual_seed(recipe.seed)
    network = create_network("resnet8", 3).to(memory_format=torch.channels_last)
    speed = {name: torch.zeros_like(weight) for name, weight in network.named_parameters()}
    rows = tileset.rows("train")
    for epoch, rate in enumerate(rates):
        seed = epoch * 7_919 + 1
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
        generator = torch.Generator().manual_seed(seed)
        for step in range(2):
            index = order[32 * step : 32 * step + 32]
            tiles = augment(torch.from_numpy(tileset.pixels[rows[index]]), generator, augmentation, strength)
            logits = network(InputStep(IMAGENET)(tiles))
            network.zero_grad()
            cross_entropy(logits, torch.from_numpy(tileset.labels[rows[index]])).backward()
            with torch.no_grad():
                for name, weight in network.named_parameters():
                    speed[name] = 0.9 * speed[name] + weight.grad + 0.01 * weight
                    weight -= rate * speed[name]
    assert list(run.log["learning_rate"]) == pytest.approx(rates)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(weights(run)[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_a_method_may_count_for_a_part_of_the_training_only(tileset, teacher_run, tmp_path):
    before = {"cross_entropy": {"during": [0.34, 1]}, "hviskd": {"during": [0, 0.34], "weight": 0.01}}
    run = train(
        load_recipe(None, QUICK | {"methods": before}, role="distilled student"), tileset, tmp_path / "run",
        teacher=teacher_run.chosen(),
    )  # fmt: skip
    assert list(run.log["loss_cross_entropy"].notna()) == [False, False, True]
    assert list(run.log["loss_hviskd/sample_relation"].notna()) == [True, True, False]
    with pytest.raises(RecipeError, match="no method is active at 50% of the training"):
        load_recipe(None, QUICK | {"methods": {"kd": {"during": [0, 0.5]}}}, role="distilled student")


@pytest.mark.slow
def test_a_pair_is_distilled_on_cifar_and_every_output_says_what_it_is(tmp_path):
    tiles = import_cifar(write_cifar(tmp_path), tmp_path / "tiles")
    quick = {"epochs": 1, "batch_size": 16, "network": "resnet8", "network_arguments": STRIDE}
    teacher = train(load_recipe("cifar100", quick, role="teacher"), tiles, tmp_path / "teacher")
    run = train(
        load_recipe("cifar100", quick, role="distilled student"),
        tiles,
        tmp_path / "run",
        teacher=Teaching(teacher, allow_weak=True),
    )
    assert "photographs of no patient" in run.card["independence"]
    card = run.chosen().card
    assert card.data.independence == run.card["independence"]
    assert (card.tile_px, card.mpp, card.normalisation) == (32, None, IMAGENET)
    assert card.recipe["augmentation"] == "shift_and_flip"
    evaluation = evaluate(run.chosen(), tiles, replicates=100)
    assert evaluation.unit == "tile"
    assert any("photographs of no patient" in statement for statement in evaluation.statements)


@pytest.mark.slow
def test_two_trainings_never_share_a_folder(tileset, tmp_path):
    recipe = load_recipe(None, QUICK | {"epochs": 1}, role="student")
    with Run(tmp_path / "run").locked(), pytest.raises(TrainingError, match="another training is using this folder"):
        train(recipe, tileset, tmp_path / "run")
    assert train(recipe, tileset, tmp_path / "run").finished


@pytest.mark.slow
def test_a_teacher_that_saw_the_student_s_test_patients_is_a_leak(teacher_run, tileset, tmp_path):
    other = TileSet.open(shutil.copytree(tileset.folder, tmp_path / "tiles"))
    other = split_tiles(other, by="patient", seed=5)
    recipe = load_recipe(None, QUICK | {"epochs": 1}, role="distilled student")
    with pytest.raises(LeakError, match="with another split.*`allow_leak=True`"):
        train(recipe, other, tmp_path / "run", teacher=teacher_run.chosen())
    run = train(recipe, other, tmp_path / "run", teacher=teacher_run.chosen(), allow_leak=True)
    assert run.card["independence"].startswith("LEAK: the teacher")
    assert run.chosen().card.data.leak_allowed
    evaluation = evaluate(run.chosen(), other, replicates=100)
    assert evaluation.leak.startswith("LEAK")


@pytest.mark.slow
def test_licences_of_teacher_and_student_data_are_both_kept(teacher_run, tmp_path):
    own = write_tiles(tmp_path / "tiles", patients=6, seed=9)  # another set in a folder of the same name
    recipe = load_recipe(None, QUICK | {"epochs": 1}, role="distilled student")
    run = train(recipe, own, tmp_path / "run", teacher=teacher_run.chosen())
    assert len(run.chosen().card.licences) == 2
    assert "whether it saw these patients is unknown" in run.card["independence"]


@pytest.mark.slow
def test_a_run_killed_in_its_first_moment_can_be_started_again(tileset, tmp_path):
    recipe = load_recipe(None, QUICK | {"epochs": 1}, role="student")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text(recipe.to_yaml())
    assert train(recipe, tileset, tmp_path / "run", resume=True).finished


@pytest.mark.slow
def test_a_run_is_not_resumed_with_something_else(student_run, tileset, teacher_run, tmp_path):
    other = student_run.recipe.model_copy(update={"epochs": 9})
    with pytest.raises(TrainingError, match=r"cannot resume, since the recipe's epochs \(3, now 9\) changed"):
        train(other, tileset, student_run.folder, teacher=teacher_run.chosen(), resume=True)
    with pytest.raises(TrainingError, match="cannot resume, since the teacher changed"):
        train(student_run.recipe, tileset, student_run.folder, teacher=student_run.chosen(), resume=True)
    with pytest.raises(TrainingError, match="contains a finished run; choose another folder"):
        train(student_run.recipe, tileset, student_run.folder, teacher=teacher_run.chosen())
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "love.txt").write_text("dear")
    with pytest.raises(TrainingError, match="contains files but no run"):
        train(student_run.recipe, tileset, tmp_path / "letters", teacher=teacher_run.chosen())


def test_resuming_a_finished_run_changes_nothing(student_run, tileset, teacher_run):
    before = student_run.card
    again = train(student_run.recipe, tileset, student_run.folder, teacher=teacher_run.chosen(), resume=True)
    assert again.card == before


@pytest.mark.slow
def test_a_leaking_split_trains_only_when_asked_and_says_so_everywhere(tmp_path):
    tiles = write_tiles(tmp_path / "tiles", patients=6)
    leaking = split_tiles(tiles, by="random", val=0.2, test=0.2)
    recipe = load_recipe(None, QUICK | {"epochs": 1}, role="student")
    with pytest.raises(LeakError, match="`allow_leak=True`"):
        train(recipe, leaking, tmp_path / "run")
    run = train(recipe, leaking, tmp_path / "run", allow_leak=True)
    assert run.card["independence"].startswith("LEAK")
    assert run.chosen().card.data.leak_allowed
    assert run.chosen().card.data.independence.startswith("LEAK")


def test_what_does_not_fit_is_said_before_the_first_step(tileset, teacher_run, tmp_path):
    said = r"`batch_size=500` is larger than the training split \(72 tiles\); add tiles, .* `batch_size=32`"
    with pytest.raises(RecipeError, match=said):
        train(load_recipe(None, QUICK | {"batch_size": 500}, role="student"), tileset, tmp_path / "run")
    other = write_tiles(tmp_path / "tiles", patients=6, classes=("one", "two"))
    with pytest.raises(ModelError, match="only the model has dark, middle, pale; only the tiles have one, two"):
        train(load_recipe(None, QUICK, role="distilled student"), other, tmp_path / "run", teacher=teacher_run.chosen())
    larger = write_tiles(tmp_path / "larger", patients=6, tile_px=40)
    with pytest.raises(ModelError, match="teacher teacher: needs tiles of 32 px, .* has tiles of 40 px"):
        train(
            load_recipe(None, QUICK, role="distilled student"), larger, tmp_path / "run", teacher=teacher_run.chosen()
        )
    with pytest.raises(RecipeError, match="methods.kd needs a teacher"):
        train(load_recipe(None, QUICK, role="distilled student"), tileset, tmp_path / "run")
    with pytest.raises(RecipeError, match="none of the methods cross_entropy uses a teacher"):
        train(load_recipe(None, QUICK, role="student"), tileset, tmp_path / "run", teacher=teacher_run.chosen())
    with pytest.raises(RecipeError, match="16-mixed needs a GPU"):
        train(
            load_recipe(None, QUICK | {"precision": "16-mixed"}, role="student"),
            tileset,
            tmp_path / "run",
            device="cpu",
        )
    lacking = write_tiles(tmp_path / "lacking", patients=6, classes=("pale", "middle", "dark", "none"), empty=("none",))
    with pytest.raises(DataError, match="no tiles of class none in any split; look whether the legend"):
        train(load_recipe(None, QUICK, role="student"), lacking, tmp_path / "run")
    table = write_tiles(tmp_path / "uneven", patients=6).table
    splits = table["split"].mask(table["class"] == "dark", "val")
    table.assign(split=splits).to_parquet(tmp_path / "uneven" / "tiles.parquet")
    with pytest.raises(DataError, match="no training tiles of class dark; split it again"):
        train(load_recipe(None, QUICK), TileSet.open(tmp_path / "uneven"), tmp_path / "run", allow_leak=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_without_a_val_split_the_last_epoch_is_the_chosen_one(tmp_path):
    tiles = write_tiles(tmp_path / "tiles", patients=6, tiles_per_class=2)
    tiles = split_tiles(tiles, by="patient", val=0, test=0.3)
    run = train(load_recipe(None, QUICK, role="student"), tiles, tmp_path / "run")
    assert run.chosen().card.epoch == 3
    assert "no validation split" in run.chosen().card.selection


@pytest.mark.slow
def test_a_class_that_val_lacks_is_named_where_the_epoch_was_chosen(tileset, tmp_path):
    table = tileset.table.copy()
    table.loc[(table["split"] == "val") & (table["class"] == "dark"), "split"] = None
    recipe = load_recipe(None, QUICK | {"epochs": 1}, role="student")
    card = train(recipe, replace(tileset, table=table), tmp_path / "run").chosen().card
    assert card.selection == "epoch with the best balanced accuracy on the validation split, which has no tile of dark"


@pytest.fixture(scope="module")
def uneven(tileset):
    """For each dark tile of the training split, there are twelve of either other class."""
    table = tileset.table.copy()
    rare = table.index[(table["split"] == "train") & (table["class"] == "dark")]
    table.loc[rare[2:], "split"] = None
    return replace(tileset, table=table)


@pytest.mark.slow
def test_weights_make_rare_classes_count(uneven, tmp_path):
    recipe = load_recipe(None, QUICK | {"epochs": 1, "balance": "weights"}, role="student")
    learner = build_learner(Fabric(accelerator="cpu"), recipe, uneven, None)
    weights_ = learner.objective.methods["cross_entropy"].loss.weight
    torch.testing.assert_close(weights_, torch.tensor([50 / (3 * 24)] * 2 + [50 / (3 * 2)]))
    labels = torch.from_numpy(uneven.labels[uneven.rows("train")])
    assert weights_[labels].mean().item() == pytest.approx(1)
    assert not equal(weights(train(recipe, uneven, tmp_path / "weighted")), weights(plain_run(uneven, tmp_path)))


@pytest.mark.slow
def test_sampling_shows_rare_classes_as_often_as_others(uneven, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "hviskd.training.fit.vary", lambda tiles, *_: seen.append(tiles.float().mean(dim=(1, 2, 3))) or tiles
    )
    recipe = load_recipe(None, QUICK | {"epochs": 2, "balance": "sampling"}, role="student")
    run = train(recipe, uneven, tmp_path / "sampled")
    assert run.recipe == recipe
    brightness = torch.cat(seen)
    assert len(brightness) == 2 * 48  # as many as without: complete batches of 16 of 50 tiles
    dark = (brightness < 130).sum().item()  # dark tiles are about 100, the others 160 and more
    assert dark == pytest.approx(32, abs=2)


def plain_run(tiles, folder):
    return train(load_recipe(None, QUICK | {"epochs": 1}, role="student"), tiles, folder / "plain")


@pytest.mark.slow
def test_mixed_precision_on_the_cpu(tileset, teacher_run, tmp_path):
    recipe = load_recipe(None, QUICK | {"epochs": 1, "precision": "bf16-mixed"}, role="distilled student")
    run = train(recipe, tileset, tmp_path / "run", teacher=teacher_run.chosen())
    assert np.isfinite(run.log.to_numpy()).all()


def test_the_stored_recipe_repeats_the_run(student_run):
    assert yaml.safe_load(student_run.recipe_file.read_text())["seed"] == 0
    assert load_recipe(student_run.recipe_file) == student_run.recipe


def test_a_run_shows_itself_in_a_notebook(student_run, tmp_path):
    html = student_run._repr_html_()
    header, *rows = read_tables(html)
    assert header[:2] == ["epoch", "learning_rate"]
    assert {row[0] for row in rows} == {str(student_run.card["chosen_epoch"]), "3"}
    assert "finished, 3 epochs" in html
    assert "data:image/jpeg" in html
    assert "&lt;run&gt;: not started" in Run(str(tmp_path / "<run>"))._repr_html_()


def test_the_name_of_a_recipe_is_not_a_recipe(tileset, tmp_path):
    with pytest.raises(RecipeError, match=r"`recipe='laptop'`.*`load_recipe\(\)`"):
        train("laptop", tileset, tmp_path / "run")
    assert not list(tmp_path.iterdir())
