"""Training with unlabelled tiles: which are drawn, what they teach, what the run and its Models say of them."""

import os
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import mse_loss

from building.operators import declare_operators_of_torchvision
from hviskd.cli.app import app
from hviskd.cli.train import speaks
from hviskd.errors import DataError, LeakError, RecipeError, TrainingError
from hviskd.evaluation import evaluate
from hviskd.models.admission import cautions
from hviskd.tiles import Origin, TileSet, TileSetWriter, TileSource, join_unlabelled, new_card
from hviskd.tiles.rows import write_rows
from hviskd.training import Devices, Run, Teaching, load_recipe, train
from hviskd.training.keeping import Keeper
from hviskd.training.unlabelled import UnlabelledBatches, unlabelled_per_batch
from tests.conftest import STRIDE, write_tiles
from tests.processes import free_port, start

pytestmark = pytest.mark.usefixtures("without_curves")
CPU = torch.device("cpu")
QUICK = {"network": "resnet8", "network_arguments": STRIDE, "epochs": 2, "batch_size": 16, "learning_rate": 0.005}


@pytest.fixture(scope="module")
def more(tmp_path_factory):
    """Forty tiles of two patients of their own, without labels."""
    folder, rng = tmp_path_factory.mktemp("more") / "more", np.random.default_rng(5)
    card = new_card((), tile_px=32, mpp=1.0, origin=Origin(verb="test", licence="CC-BY"), labelled=False)
    with TileSetWriter(folder, card) as writer:
        for number in range(40):
            pixels = rng.normal(150, 50, (32, 32, 3)).clip(0, 255).astype(np.uint8)
            writer.add(pixels, file=f"{number}", class_name=None, source=TileSource(patient=f"Q{number % 2}"))
    return TileSet.open(folder)


def recipe_of(**changes):
    return load_recipe(None, QUICK | changes, role="distilled student")


def weights(run):
    return load_file(run.folder / "model-last" / "weights.safetensors")


def equal(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture(scope="module")
def run(tileset, teacher_run, more, tmp_path_factory):
    teaching = Teaching(teacher_run, cache=False, unlabelled=more.folder)
    return train(recipe_of(), tileset, tmp_path_factory.mktemp("runs") / "joined", teacher=teaching)


@pytest.mark.parametrize("world", [1, 2])
def test_each_batch_gets_its_share_in_rounds_and_processes_divide_it(tileset, more, world):
    joining = join_unlabelled(tileset, more)
    recipe = recipe_of(augmentation="none")
    parts = [UnlabelledBatches(joining, 8, recipe, CPU, rank=rank, world=world) for rank in range(world)]
    seen = [[part.seen[0] for part in of_process.epoch(3, 10)] for of_process in parts]
    assert [len(index) for index in seen[0]] == [8 // world] * 10
    drawn = torch.bincount(torch.cat([torch.cat(of_process) for of_process in seen]), minlength=40)
    assert drawn.tolist() == [2] * 40
    again = [part.seen[0] for part in parts[0].epoch(3, 10)]
    other = [part.seen[0] for part in parts[0].epoch(4, 10)]
    assert torch.equal(torch.cat(again), torch.cat(seen[0]))
    assert not torch.equal(torch.cat(other), torch.cat(seen[0]))
    first = next(iter(parts[0].epoch(3, 1)))
    np.testing.assert_array_equal(first.tiles, more.pixels[first.seen[0]])


def test_the_share_is_of_the_batch_and_alike_in_all_processes():
    assert unlabelled_per_batch(recipe_of(), 1) == 8
    assert unlabelled_per_batch(recipe_of(unlabelled_share=0.25), 1) == 4
    assert unlabelled_per_batch(recipe_of(unlabelled_share=0.4), 4) == 8
    with pytest.raises(RecipeError, match="batch_size 2 is too small for an unlabelled_share of 0.9"):
        unlabelled_per_batch(recipe_of(batch_size=2, unlabelled_share=0.9), 1)
    with pytest.raises(RecipeError, match="none of the methods cross_entropy, dkd learns from tiles without labels"):
        unlabelled_per_batch(recipe_of(methods="dkd"), 1)


def test_the_run_and_its_models_say_what_joined(run, more, tileset):
    assert "No patient of the val or test split is among the unlabelled tiles." in run.card["independence"]
    assert run.card["unlabelled"] == {"name": "more", "tiles": 40}
    card = run.chosen().card
    assert (card.data.unlabelled.name, card.data.unlabelled.tiles) == ("more", 40)
    assert card.data.unlabelled.data == more.fingerprint
    assert [licence.licence for licence in card.licences] == ["CC0", "CC-BY"]
    assert card.data.train_tiles == len(tileset.rows("train"))
    assert np.isfinite(run.log.to_numpy()).all()


@pytest.mark.slow
def test_they_change_the_student_and_the_same_seed_gives_the_same(run, tileset, teacher_run, more, tmp_path):
    again = train(recipe_of(), tileset, tmp_path / "again", teacher=Teaching(teacher_run, cache=False, unlabelled=more))
    assert equal(weights(again), weights(run))
    smaller = recipe_of(batch_size=8)  # the same labelled batches
    alone = train(smaller, tileset, tmp_path / "alone", teacher=Teaching(teacher_run, cache=False))
    assert len(alone.log) == len(run.log)
    assert not equal(weights(alone), weights(run))


@pytest.mark.slow
def test_the_cache_covers_them(run, tileset, teacher_run, more, tmp_path):
    teaching = Teaching(teacher_run, cache=True, cache_folder=tmp_path / "cache", unlabelled=more)
    cached = train(recipe_of(), tileset, tmp_path / "cached", teacher=teaching)
    assert len([folder for folder in (tmp_path / "cache").iterdir() if folder.is_dir()]) == 2
    for column in ("loss_kd", "loss_hviskd/sample_relation", "loss_total"):
        np.testing.assert_allclose(cached.log[column], run.log[column], rtol=1e-3)
    for name, value in weights(run).items():
        assert mse_loss(weights(cached)[name].float(), value.float()) < 1e-5


@pytest.mark.slow
def test_a_resumed_training_ends_the_same_and_other_tiles_are_refused(
    run, tileset, teacher_run, more, tmp_path, monkeypatch
):
    ended, folder = Keeper.epoch_ended, tmp_path / "killed"
    teaching = Teaching(teacher_run, cache=False, unlabelled=more)

    def end_and_die(keeper):
        ended(keeper)
        raise KeyboardInterrupt

    monkeypatch.setattr(Keeper, "epoch_ended", end_and_die)
    with pytest.raises(KeyboardInterrupt):
        train(recipe_of(), tileset, folder, teacher=teaching)
    monkeypatch.setattr(Keeper, "epoch_ended", ended)
    with pytest.raises(TrainingError, match="cannot resume, since the unlabelled tiles changed"):
        train(recipe_of(), tileset, folder, teacher=Teaching(teacher_run, cache=False), resume=True)
    resumed = train(recipe_of(), tileset, folder, teacher=teaching, resume=True)
    assert equal(weights(resumed), weights(run))


@pytest.mark.slow
def test_a_held_out_patient_is_refused_or_said_everywhere(tileset, teacher_run, tmp_path):
    leaking = write_tiles(tmp_path / "leaking", splits=False, seed=3)
    with pytest.raises(LeakError, match="4 patients appear both in the val or test split and among the unlabelled"):
        train(recipe_of(), tileset, tmp_path / "run", teacher=Teaching(teacher_run, unlabelled=leaking))
    teaching = Teaching(teacher_run, cache=False, unlabelled=leaking)
    run = train(recipe_of(epochs=1), tileset, tmp_path / "run", teacher=teaching, allow_leak=True)
    assert run.card["independence"].startswith("LEAK: 4 patients appear both")
    assert run.chosen().card.data.leak_allowed


@pytest.mark.slow
def test_labels_of_another_laboratory_are_ignored_and_evaluation_says_so(tileset, teacher_run, tmp_path):
    names = ("x", "y", "z", "w")
    other = write_tiles(tmp_path / "other", classes=names, seed=8, patients=9)
    renamed = other.table.assign(patient="L" + other.table["patient"])
    write_rows(other.folder / "tiles.parquet", renamed, other.split_record)
    teaching = Teaching(teacher_run, cache=False, unlabelled=other.folder)
    run = train(recipe_of(epochs=1, balance="weights"), tileset, tmp_path / "run", teacher=teaching)
    joined = run.chosen().card.data.unlabelled
    assert joined.tiles == len(TileSet.open(other.folder).rows("train")) == 5 * 4 * 8
    relabelled = shutil.copytree(other.folder, tmp_path / "relabelled")
    turned = renamed.assign(**{"class": "x"})
    write_rows(relabelled / "tiles.parquet", turned, other.split_record)
    teaching = Teaching(teacher_run, cache=False, unlabelled=relabelled)
    again = train(recipe_of(epochs=1, balance="weights"), tileset, tmp_path / "again", teacher=teaching)
    assert equal(weights(again), weights(run))


def test_a_model_that_saw_tiles_without_labels_is_told_from_a_stranger(run, more, tileset, tmp_path):
    named = shutil.copytree(tileset.folder, tmp_path / "named")
    said = cautions([run.chosen()], ["student"], TileSet.open(more.folder), "test", allow_leak=False)
    assert said == ["student: trained on another TileSet (tiles) and, without labels, on 40 of these tiles."]
    assert cautions([run.chosen()], ["student"], TileSet.open(named), "test", allow_leak=False) == []


def test_without_labels_nothing_is_trained_or_measured(more, run, tmp_path):
    with pytest.raises(DataError, match="needs labelled tiles"):
        train(load_recipe(None, QUICK), more, tmp_path / "never")
    with pytest.raises(DataError, match="needs labelled tiles"):
        evaluate([run], more)


@pytest.mark.slow
def test_two_processes_on_two_computers_train_the_weights_of_one(tileset, teacher_run, more, tmp_path):
    """As `torchrun --nnodes 2` starts them: each knows its place from its environment."""
    settings = {"epochs": 1, "batch_size": 16, "learning_rate": 0.005, "network": "timm:vit_tiny_patch16_224"}
    size = {"depth": 4, "embed_dim": 48, "num_heads": 2}
    changes = [f"--{key.replace('_', '-')}={value}" for key, value in settings.items()]
    changes += [f"--set=network_arguments.{key}={value}" for key, value in size.items()]
    words = ["distill", tileset.folder, "-o", tmp_path / "two", "--teacher", teacher_run.folder, *changes]
    words += ["--unlabelled", more.folder, "--processes", "2", "--nodes", "2", "--device", "cpu", "--no-cache"]
    common = {"TORCHELASTIC_RUN_ID": "two", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    common |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    places = {rank: common | {"RANK": rank, "GROUP_RANK": rank} for rank in "01"}
    both = [
        start(on_one_computer, list(map(str, words)), place, says=tmp_path / rank) for rank, place in places.items()
    ]
    recipe = load_recipe(None, settings | {"network_arguments": size}, role="distilled student")
    teaching = Teaching(teacher_run, cache=False, unlabelled=more.folder)
    one = train(recipe, tileset, tmp_path / "one", teacher=teaching, device="cpu")
    for process in both:
        process.join()
    said = [(tmp_path / rank).read_text() for rank in "01"]
    assert [process.exitcode for process in both] == [0, 0], said
    assert "40 tiles of more joined without labels" in said[0]
    assert "joined" not in said[1]
    two = Run(tmp_path / "two")
    assert two.card["machine"]["processes"] == 2
    torch.testing.assert_close(weights(two), weights(one), rtol=1e-4, atol=1e-5)
    columns = [name for name in one.log.columns if name != "seconds"]
    np.testing.assert_allclose(two.log[columns], one.log[columns], rtol=1e-3)


def on_one_computer(words, place):
    declare_operators_of_torchvision()
    os.environ.update(place)
    app(words)


def test_one_of_several_processes_speaks_and_so_does_whoever_trains_alone(monkeypatch):
    for name, number in (("RANK", ""), ("LOCAL_RANK", ""), ("SLURM_PROCID", "3")):
        monkeypatch.setenv(name, number)
    assert not speaks(4)
    assert speaks(1)  # beside three others that train something else
    monkeypatch.setenv("RANK", "0")
    assert speaks(4)


def test_processes_are_shared_evenly_by_computers():
    with pytest.raises(DataError, match="`processes=3`: not divisible by `nodes=2`"):
        Devices("cpu", 3, 2)
