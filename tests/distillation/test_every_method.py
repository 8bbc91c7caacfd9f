"""Every preset on real networks of every family: it learns, with finite numbers, and leaves the teacher alone."""

import copy
from itertools import product

import pytest
import torch
from torch import nn

from hviskd.distillation import METHODS, PRESETS, Batch, Objective, Setting, build_methods, resolve_methods
from hviskd.errors import RecipeError
from hviskd.networks import create_network

CLASSES, TILES = 4, 12
PAIRS = {  # teacher and student of every family that a recipe pairs, the smallest of each
    "resnet": ("resnet14", "resnet8"),
    "wide": ("wrn_16_2", "wrn_16_1"),
    "vgg": ("vgg11", "vgg8"),
    "resnet-mobilenet": ("resnet14", "mobilenet_v2"),
    "vgg-shufflenet": ("vgg8", "shufflenet_v2"),
}
UNFIT = dict.fromkeys(("fsp", "kdsvd"), ("wide", "resnet-mobilenet", "vgg-shufflenet"))  # widths must be alike
PAIRS_OF_TESTS = PAIRS | {"same": ("resnet8", "resnet8")}
# What compares the two without an adapter that is drawn, and asks for nothing else.
IMITATING = (
    *("kd", "kd-ls", "dkd", "dkd-ls", "dist", "sp", "rkd", "pkt", "at", "at-public", "nst", "fsp", "kdsvd", "kdsvd-md"),
    *("cat-kd", "multi-level", "multi-level-ls", "multi-level-public"),
)
DRAWS = {"crd", "wcord", "multi_level"}  # negatives or views at random, which each device draws for itself
COUNTED_IN = (0.05, 0.6)  # shares of a training; every stage before the main one is met


def build(preset, pair="resnet", tile_px=32, seed=0):
    torch.manual_seed(seed)
    teacher, student = (create_network(name, CLASSES) for name in PAIRS_OF_TESTS[pair])
    options = resolve_methods(preset)
    reductions = [chosen.reduction for name, chosen in options.items() if "teacher_head" in METHODS[name][0].needs]
    if reductions:
        student.put_projector(teacher.head.classifier.in_features, reductions[0])
        student.head.classifier.load_state_dict(teacher.head.classifier.state_dict())
        student.head.classifier.requires_grad_(requires_grad=False)
    setting = Setting(student.shapes(tile_px), teacher.shapes(tile_px), CLASSES, torch.arange(TILES) % CLASSES)
    return Objective(student, build_methods(options, setting), teacher, options)


def batch(tile_px=32, samples=6, seed=1):
    images = torch.randn(samples, 3, tile_px, tile_px, generator=torch.Generator().manual_seed(seed))
    return Batch(images, torch.arange(samples) % CLASSES, torch.arange(samples))


def learns(objective):
    return [weight for weight in objective.parameters() if weight.requires_grad]


def run(objective, tiles, progress=0.5):
    objective.progress = progress
    step = objective(tiles)
    step.total.backward()
    return step


def needing_teacher():
    return [name for name in PRESETS if any("teacher" in METHODS[method][0].needs for method in resolve_methods(name))]


@pytest.mark.parametrize(("preset", "pair"), list(product(PRESETS, PAIRS)))
def test_it_learns_on_every_pair(preset, pair):
    if pair in UNFIT.get(preset, ()):
        with pytest.raises(RecipeError, match=preset):
            build(preset, pair)
        return
    objective = build(preset, pair)
    teacher = copy.deepcopy(objective.teacher.state_dict())
    optimizer = torch.optim.SGD(learns(objective), lr=1e-4)
    moved = {name: weight.detach().clone() for name, weight in objective.named_parameters()}
    for progress in COUNTED_IN:
        step = run(objective, batch(), progress)
        assert step.total.isfinite()
        assert all(loss.isfinite() for loss in step.losses.values())
        for name, weight in objective.named_parameters():
            assert weight.grad is None or weight.grad.isfinite().all(), name
        optimizer.step()
        optimizer.zero_grad()
    for name, weight in objective.methods.named_parameters():
        if weight.requires_grad and weight.ndim > 1:  # a bias before a normalisation has no gradient
            assert not torch.equal(weight, moved[f"methods.{name}"]), name
    assert any(not torch.equal(w, moved[f"student.{name}"]) for name, w in objective.student.named_parameters())
    if not objective.teacher_learns:
        assert all(torch.equal(value, teacher[name]) for name, value in objective.teacher.state_dict().items())


@pytest.mark.parametrize("beside", ["kd", "hviskd"])
@pytest.mark.parametrize("name", METHODS)
def test_it_goes_beside_kd_and_hviskd(name, beside):
    alone, mixed = PRESETS[beside], {**PRESETS[beside], name: {}}
    step = run(build(mixed), batch(), 0.6)
    assert step.total.isfinite()
    own = {term for term in step.losses if term.split("/")[0] == name}
    assert own
    if METHODS[name][0].needs.isdisjoint({"teacher_head", "trained_teacher"}):  # which change what is compared
        beforehand = run(build(alone), batch(), 0.6).losses
        common = beforehand.keys() & {"cross_entropy", "kd", "hviskd/sample_relation", "hviskd/region_relation"}
        assert {term: step.losses[term].item() for term in common} == pytest.approx(
            {term: beforehand[term].item() for term in common}, rel=1e-6
        )


@pytest.mark.parametrize("preset", PRESETS)
def test_nothing_stays_on_the_processor_when_all_is_elsewhere(preset):
    """On a device without content, which refuses operands of two devices as a GPU does and cannot be read back."""
    objective, tiles = build(preset).to("meta"), batch()
    there = Batch(tiles.images.to("meta"), tiles.labels.to("meta"), tiles.index.to("meta"))
    for progress in COUNTED_IN:
        assert run(objective, there, progress).total.is_meta
    assert all(weight.grad is None or weight.grad.is_meta for weight in objective.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
@pytest.mark.parametrize("preset", PRESETS)
def test_a_gpu_gives_the_losses_of_the_processor(preset):
    here = build(preset)
    there = copy.deepcopy(here).cuda()
    tiles = batch()
    moved = Batch(tiles.images.cuda(), tiles.labels.cuda(), tiles.index.cuda())
    for progress in COUNTED_IN:
        ours, theirs = run(here, tiles, progress), run(there, moved, progress)
        assert all(weight.grad is None or weight.grad.isfinite().all() for weight in there.parameters())
        for term, loss in ours.losses.items():
            assert theirs.losses[term].isfinite(), term
            if DRAWS.isdisjoint(resolve_methods(preset)):
                assert theirs.losses[term].item() == pytest.approx(loss.item(), rel=0.02, abs=1e-5), term


@pytest.mark.parametrize("preset", PRESETS)
def test_tiles_may_be_of_any_size(preset):
    for tile_px in (32, 47, 150, 224):
        step = run(build(preset, tile_px=tile_px), batch(tile_px, samples=4))
        assert step.total.isfinite()


@pytest.mark.parametrize("preset", IMITATING)
def test_a_student_that_is_its_teacher_costs_nothing(preset):
    objective = build(preset, pair="same")
    objective.student.load_state_dict(objective.teacher.state_dict())
    objective.eval()  # as the teacher is, or the two would normalise differently
    apart = build(preset)
    imitated = set()
    for progress in COUNTED_IN:
        alike, other = (run(each, batch(), progress).losses for each in (objective, apart))
        for name in alike.keys() - {"cross_entropy"}:
            imitated.add(name)
            assert abs(alike[name].item()) < 1e-5 * abs(other[name].item()), name
    assert imitated


@pytest.mark.parametrize("preset", PRESETS)
def test_a_batch_in_which_the_classes_and_tiles_are_all_alike_is_finite(preset):
    objective = build(preset)
    same = Batch(torch.zeros(4, 3, 32, 32), torch.zeros(4, dtype=torch.int64), torch.arange(4))
    for progress in COUNTED_IN:
        assert run(objective, same, progress).total.isfinite()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in objective.parameters())


@pytest.mark.parametrize("preset", PRESETS)
def test_mixed_precision_keeps_the_losses_in_full(preset):
    objective = build(preset)
    with torch.autocast("cpu", torch.bfloat16):
        step = objective(batch())
    assert all(loss.dtype == torch.float32 for loss in step.losses.values())
    step.total.backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in objective.parameters())


@pytest.mark.parametrize("preset", PRESETS)
def test_what_a_checkpoint_restores_goes_on_as_if_nothing_had_happened(preset):
    first = build(preset)
    optimizer = torch.optim.SGD(learns(first), lr=1e-3, momentum=0.9)
    for progress in COUNTED_IN[:2]:
        torch.manual_seed(7)
        run(first, batch(), progress)
        optimizer.step()
        optimizer.zero_grad()
    second = build(preset, seed=1)
    second.load_state_dict(first.state_dict())
    totals = []
    for objective in (first, second):
        torch.manual_seed(8)
        totals.append(run(objective, batch(seed=2), 0.6).total.item())
    assert totals[0] == totals[1]


@pytest.mark.parametrize("preset", needing_teacher())
def test_without_a_teacher_it_says_so(preset):
    student = create_network("resnet8", CLASSES)
    setting = Setting(student.shapes(32), None, CLASSES, torch.arange(TILES) % CLASSES)
    with pytest.raises(RecipeError, match="needs a teacher"):
        build_methods(resolve_methods(preset), setting)


def test_every_method_has_a_preset_that_runs_it():
    assert {method for preset in PRESETS for method in resolve_methods(preset)} == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_weight_scales_all_that_a_method_adds_to_the_learning(name):
    objective = build({name: {}, "cross_entropy": {}} if name != "cross_entropy" else {name: {}})
    method = objective.methods[name]
    weight = objective._options[name].weight
    doubled = METHODS[name][1].model_validate(objective._options[name].model_dump() | {"weight": 2 * weight})
    setting = Setting(
        objective.student.shapes(32), objective.teacher.shapes(32), CLASSES, torch.arange(TILES) % CLASSES
    )
    other = METHODS[name][0](doubled, setting)
    assert isinstance(method, nn.Module)
    scaled = {term for term, value in method.weights.items() if other.weights[term] == pytest.approx(2 * value)}
    own = {term for term in method.weights if term not in scaled}
    assert scaled
    assert own <= {"teacher_head", "reconstruction", "teacher_exits", "peer"}  # what a teacher's side learns for itself
