"""Remarks on a distillation: by hand, and in what a training says."""

import pytest
import torch

from hviskd.distillation import Objective, Setting, build_methods, resolve_methods
from hviskd.progress import silent
from hviskd.training import Teaching, load_recipe, train
from hviskd.training.remarks import hardly_better, largest_share
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, FakeShapes

pytestmark = pytest.mark.usefixtures("without_curves")


def objective(wanted):
    setting = Setting(FakeShapes(SHAPES_STUDENT), FakeShapes(SHAPES_TEACHER), 5, torch.arange(60) % 5)
    return Objective(torch.nn.Linear(1, 1), build_methods(resolve_methods(wanted), setting), None)


def first_epoch(**losses):
    return [
        {"epoch": 0, "val_top1": 0.5},
        {"loss_total": 9.0} | {f"loss_{key}": value for key, value in losses.items()},
    ]


def test_shares_are_of_weighted_losses():
    made = objective({"cross_entropy": {}, "kd": {"weight": 2.0}, "memory": {"weight": 0.5}})
    assert made.shares({"cross_entropy": 1.0, "kd": 2.0, "memory": 6.0, "total": 8.0}) == {
        "cross_entropy": 0.125,
        "kd": 0.5,
        "memory": 0.375,
    }


def test_a_method_on_features_above_half_is_named_and_one_on_logits_is_the_task():
    made = objective({"cross_entropy": {}, "kd": {}, "memory": {}})
    assert largest_share(made, first_epoch(cross_entropy=1.0, kd=9.0, memory=0.5)) == ""
    assert largest_share(made, first_epoch(cross_entropy=1.0, kd=1.0, memory=2.0)) == ""
    assert largest_share(made, first_epoch(cross_entropy=1.0, kd=1.0, memory=8.0)).startswith("memory is 80% of")
    both = objective({"cross_entropy": {}, "hviskd": {"weight": 1.0, "sample_feature": 1.0, "region_feature": 1.0}})
    parts = {"hviskd/sample_feature": 2.0, "hviskd/region_feature": 2.0}  # neither is more than half
    assert largest_share(both, first_epoch(cross_entropy=3.0, **parts)).startswith("hviskd is 57% of")
    peers = objective({"cross_entropy": {}, "dml": {}})
    assert largest_share(peers, first_epoch(cross_entropy=1.0, **{"dml/peer_from_labels": 9.0})) == ""
    alone = objective({"memory": {}})
    assert largest_share(alone, first_epoch(memory=8.0)) == ""  # there is nothing that it could drown
    assert largest_share(made, [{"epoch": 0, "val_top1": 0.5}]) == ""


@pytest.mark.parametrize(("known", "ours", "told"), [(0.95, 0.94, True), (0.95, 0.92, False), (None, 0.9, False)])
def test_a_teacher_hardly_better_than_its_student(known, ours, told):
    assert bool(hardly_better(known, {"val_balanced_accuracy": ours})) == told
    assert hardly_better(known, {}) == ""


@pytest.mark.slow
def test_a_training_says_both(tileset, teacher_run, tmp_path, capsys):
    heavy = {"hviskd": {"weight": 5}, "cross_entropy": {}}
    recipe = load_recipe(None, {"network": "resnet8", "epochs": 1, "batch_size": 16, "methods": heavy, "clip": 1})
    run = train(recipe, tileset, tmp_path / "run", teacher=Teaching(teacher_run, cache=False), progress=silent)
    assert "of the first epoch's weighted losses" in run.card["teacher"]
    assert "hviskd is 9" in run.card["teacher"]
    ours = run.chosen().card.metrics["val_balanced_accuracy"]
    theirs = teacher_run.chosen().card.metrics["val_balanced_accuracy"]
    assert ("little more to teach" in run.card["teacher"]) == (theirs - ours < 0.02)
