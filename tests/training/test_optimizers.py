"""Optimizers, rates and averages against torch's own, and against sums written out."""

import math

import pytest
import torch
from safetensors.torch import load_file

from hviskd.distillation import Objective, Setting, build_methods
from hviskd.errors import RecipeError
from hviskd.models import IMAGENET, InputStep
from hviskd.networks import create_network
from hviskd.progress import silent
from hviskd.tiles.augmentation import augment
from hviskd.training import load_recipe, train
from hviskd.training.optimizers import build_optimizer, moving_average, parameter_groups, rate_at, set_rate
from tests.conftest import STRIDE

pytestmark = pytest.mark.usefixtures("without_curves")
QUICK = {"network": "resnet8", "network_arguments": STRIDE, "epochs": 2, "batch_size": 16, "learning_rate": 0.005}


def recipe_of(**changes):
    return load_recipe(None, QUICK | changes)


def objective_of(recipe, teacher=None):
    student = create_network("resnet8", 3)
    shapes = student.shapes(32)
    setting = Setting(shapes, shapes if teacher else None, 3, torch.arange(12) % 3)
    return Objective(student, build_methods(recipe.methods, setting), teacher, recipe.methods)


def test_a_cosine_with_warm_up_is_torchs():
    recipe = recipe_of(epochs=10, schedule="cosine", warm_up=0.2, learning_rate=0.3)
    steps = 50
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.3)
    warm = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step / 10)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40)
    for step in range(steps):
        if step == 10:
            optimizer.param_groups[0]["lr"] = 0.3
        assert rate_at(recipe, step / steps) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        optimizer.step()
        (warm if step < 10 else cosine).step()


def test_steps_fall_at_the_beginning_of_an_epoch_also_with_a_warm_up():
    recipe = recipe_of(epochs=8, decay_at=[0.5, 0.75], warm_up=0.125)
    rates = [rate_at(recipe, (epoch + step / 3) / 8) for epoch in range(8) for step in range(3)]
    expected = [0.005] * 12 + [0.0005] * 6 + [0.00005] * 6
    expected[:3] = [0, 0.005 / 3, 0.01 / 3]
    assert rates == pytest.approx(expected)


def test_rates_fall_from_the_head_to_the_stem():
    recipe = recipe_of(layer_decay=0.5)
    objective = objective_of(recipe)
    optimizer = build_optimizer(recipe, objective)
    set_rate(optimizer, 0.8)
    rate = {id(weight): group["lr"] for group in optimizer.param_groups for weight in group["params"]}
    student = objective.student
    assert rate[id(student.head.classifier.weight)] == 0.8
    assert [rate[id(next(stage.parameters()))] for stage in student.stages] == [0.1, 0.2, 0.4]
    assert rate[id(next(student.stem.parameters()))] == 0.05
    assert len(rate) == len(list(objective.parameters()))


def test_what_decays():
    sgd = objective_of(recipe_of())
    assert [group["weight_decay"] for group in parameter_groups(recipe_of(), sgd)] == [5e-4]
    recipe = recipe_of(optimizer="adamw", weight_decay=0.05)
    optimizer = build_optimizer(recipe, sgd)
    assert isinstance(optimizer, torch.optim.AdamW)
    spared = {
        weight.ndim for group in optimizer.param_groups if not group["weight_decay"] for weight in group["params"]
    }
    decayed = {weight.ndim for group in optimizer.param_groups if group["weight_decay"] for weight in group["params"]}
    assert (spared, decayed) == ({1}, {2, 4})


def test_the_average_is_the_sum_written_out():
    student = torch.nn.BatchNorm1d(2)
    average = moving_average(student, 0.6)
    mean = None
    for step in range(30):
        with torch.no_grad():
            student.weight.copy_(torch.tensor([step, -step / 2]))
            student.running_mean.fill_(step)
            student.num_batches_tracked.fill_(step)
        average.update_parameters(student)
        if step:
            decay = min(0.6, (1 + step) / (10 + step))
            mean = decay * mean + (1 - decay) * step
        else:
            mean = 0.0
    assert average.module.weight.tolist() == pytest.approx([mean, -mean / 2], rel=1e-5)
    assert average.module.running_mean.tolist() == pytest.approx([mean, mean], rel=1e-5)
    assert average.module.num_batches_tracked == 29


@pytest.mark.slow
def test_a_training_with_all_of_it_resumes_as_if_never_stopped(tileset, tmp_path):
    how = {"optimizer": "adamw", "schedule": "cosine", "warm_up": 0.2, "layer_decay": 0.7, "clip": 1.0, "ema": 0.9}
    recipe = recipe_of(**how, epochs=3)
    whole = train(recipe, tileset, tmp_path / "whole", progress=silent)

    def stop(done, total, what):
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, tileset, tmp_path / "stopped", progress=stop)
    resumed = train(recipe, tileset, tmp_path / "stopped", resume=True, progress=silent)
    ours, theirs = (load_file(run.folder / "model-last" / "weights.safetensors") for run in (whole, resumed))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    log = whole.log
    assert log["loss_total"].iloc[-1] < log["loss_total"].iloc[0]
    assert log["learning_rate"].iloc[-1] == pytest.approx(rate_at(recipe, 11 / 12))


@pytest.mark.slow
def test_clipping_bounds_a_step(tileset, tmp_path):
    how = {"epochs": 1, "momentum": 0, "weight_decay": 0, "learning_rate": 0.1, "batch_size": 72}
    moved = []
    for clip in (0.01, 0):
        recipe = recipe_of(**how, clip=clip)
        run = train(recipe, tileset, tmp_path / f"clip{clip}", progress=silent)
        torch.manual_seed(recipe.seed)
        start = create_network("resnet8", 3, arguments=STRIDE).state_dict()
        after = load_file(run.folder / "model-last" / "weights.safetensors")
        learned = [name for name, _ in create_network("resnet8", 3, arguments=STRIDE).named_parameters()]
        moved.append(math.sqrt(sum((after[name] - start[name]).square().sum().item() for name in learned)))
    assert moved[0] == pytest.approx(0.1 * 0.01, rel=1e-3)
    assert moved[1] > 10 * moved[0]


@pytest.mark.slow
def test_fine_tuning_steps_are_those_of_a_loop_written_by_hand(tileset, tmp_path):
    """AdamW with rates by layer, cosine after a warm-up, clipping and a moving average: two epochs of two steps."""
    fine = {"optimizer": "adamw", "learning_rate": 1e-3, "schedule": "cosine", "warm_up": 0.25, "layer_decay": 0.5}
    fine["batch_size"] = 32
    recipe = recipe_of(**fine, weight_decay=0.1, clip=0.5, ema=0.9, seed=3)
    run = train(recipe, tileset, tmp_path / "run", device="cpu", progress=silent)
    torch.manual_seed(3)
    network = create_network("resnet8", 3, arguments=STRIDE).to(memory_format=torch.channels_last)
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    first, second = ({n: torch.zeros_like(w) for n, w in network.named_parameters()} for _ in range(2))
    rows, step, norms = tileset.rows("train"), 0, []
    for epoch in range(2):
        seed = 3 * 1_000_003 + epoch * 7_919 + 1
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
        generator = torch.Generator().manual_seed(seed)
        for part in range(2):
            index = order[32 * part : 32 * part + 32]
            tiles = augment(torch.from_numpy(tileset.pixels[rows[index]]), generator, recipe.augmentation, 0)
            network.zero_grad()
            labels = torch.from_numpy(tileset.labels[rows[index]])
            torch.nn.functional.cross_entropy(network(InputStep(IMAGENET)(tiles)), labels).backward()
            norm = math.sqrt(sum(float((w.grad.double() ** 2).sum()) for w in network.parameters()))
            norms.append(norm)
            # one step of warm-up, which begins at 0, then three of cosine
            rate = 0.0 if step == 0 else 1e-3 * (1 + math.cos(math.pi * (step - 1) / 3)) / 2
            with torch.no_grad():
                for name, weight in network.named_parameters():
                    gradient = weight.grad * min(1, 0.5 / norm)
                    where = name.split(".")
                    depth = {"head": 0, "stem": 4}.get(where[0]) if where[0] != "stages" else 3 - int(where[1])
                    own = rate * 0.5**depth
                    first[name] = 0.9 * first[name] + 0.1 * gradient
                    second[name] = 0.999 * second[name] + 0.001 * gradient**2
                    along = first[name] / (1 - 0.9 ** (step + 1))
                    size = (second[name] / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8
                    weight *= 1 - own * (0.1 if weight.ndim > 1 else 0)
                    weight -= own * along / size
            decay = min(0.9, (1 + step) / (10 + step)) if step else 0  # the first is copied
            for name, value in network.state_dict().items():
                kept[name] = (decay * kept[name] + (1 - decay) * value) if value.is_floating_point() else value.clone()
            step += 1
    assert min(norms) > 0.5  # so the clipping is seen
    stored = load_file(run.folder / "model-last" / "weights.safetensors")
    assert run.log["learning_rate"].tolist() == pytest.approx([1e-3, 1e-3 * (1 + math.cos(math.pi * 2 / 3)) / 2])
    for name, value in kept.items():
        torch.testing.assert_close(stored[name], value, rtol=1e-3, atol=2e-5)


def test_nesterov_needs_momentum():
    with pytest.raises(RecipeError, match="nesterov.*momentum"):
        recipe_of(nesterov=True, momentum=0)
    assert build_optimizer(recipe_of(nesterov=True), objective_of(recipe_of())).defaults["nesterov"]
