"""Every method on real networks of every family: it learns, with finite numbers, and leaves the teacher alone.

What a mixture can show, a mixture shows: `MIXTURES` hold every method with every set of options that a preset gives it,
side by side on one pair of networks, and each term and each adapter is looked at by itself. Presets run one by one only
where one method's part in the student's learning is the question.
"""

import copy
from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import nn

from hviskd.distillation import (
    METHODS,
    PRESETS,
    Batch,
    Objective,
    Setting,
    StoredTrace,
    build_methods,
    pooled_at,
    regions_at,
    resolve_methods,
    token_at,
)
from hviskd.errors import RecipeError
from hviskd.networks import create_network

CLASSES, TILES = 4, 12
PAIRS = {  # networks of every family as teacher or student, the smallest of each
    "resnet": ("resnet14", "resnet8"),
    "wide": ("wrn_16_2", "wrn_16_1"),
    "resnet-mobilenet": ("resnet14", "mobilenet_v2"),
    "vgg-shufflenet": ("vgg8", "shufflenet_v2"),
}
UNFIT = dict.fromkeys(("fsp", "kdsvd"), ("wide", "resnet-mobilenet", "vgg-shufflenet"))  # widths must be alike
# Reads one vector a tile; its matrix exponential of 512 columns takes longer than all other methods together.
LEFT_OUT = {"vkd": ("vgg-shufflenet",)}
PAIRS_OF_TESTS = PAIRS | {"same": ("resnet8", "resnet8")}
# What compares the two without an adapter that is drawn, and asks for nothing else.
IMITATING = (
    *("kd", "kd-ls", "dkd", "dkd-ls", "dist", "sp", "rkd", "pkt", "at", "at-public", "nst", "fsp", "kdsvd", "kdsvd-md"),
    *("cat-kd", "multi-level", "multi-level-ls", "multi-level-public"),
)
DRAWS = {
    "crd",
    "wcord",
    "multi_level",
    "memory",
}  # negatives, views or anchors at random, which each device draws for itself
EARLY, LATER = 0.05, 0.6  # shares of a training, in the stage before the main one, if there is one, and in the main one
PREPARING = {"sskd", "ft", "tofd"}  # what has a stage before the main one, as `test_it_learns` holds
# One changes the student's head, the other lets the teacher learn: for all methods beside it, too.
FOR_THEMSELVES = ("simkd", "dml")


def mixtures(presets):
    """Deal out every method with every set of options it has in the presets, so that a mixture has each method once.

    All count all the time and with their own weight: what a preset says of these is its own test's.
    """
    dealt = []
    for preset in presets:
        for name, given in PRESETS[preset].items():
            options = {key: value for key, value in given.items() if key not in ("weight", "during")}
            if name in FOR_THEMSELVES or any(mixture.get(name) == options for mixture in dealt):
                continue
            home = next((mixture for mixture in dealt if name not in mixture), None)
            if home is None:
                dealt.append(home := {})
            home[name] = options
    return {f"mixture {number}": mixture for number, mixture in enumerate(dealt, start=1)}


MIXTURES = mixtures(PRESETS) | {name: PRESETS[name] for name in FOR_THEMSELVES}
READING_MAPS = {name: mixture for name, mixture in MIXTURES.items() if name != "dml"}  # which reads logits alone
every_mixture = pytest.mark.parametrize("mixture", MIXTURES.values(), ids=MIXTURES)
every_mixture_of_maps = pytest.mark.parametrize("mixture", READING_MAPS.values(), ids=READING_MAPS)


@cache
def shapes(network, tile_px):
    return create_network(network, CLASSES).shapes(tile_px)


def setting_of(pair="resnet", tile_px=32):
    teacher, student = (shapes(name, tile_px) for name in PAIRS_OF_TESTS[pair])
    return Setting(student, teacher, CLASSES, torch.arange(TILES) % CLASSES)


def build(wanted, pair="resnet", tile_px=32, seed=0):
    setting = setting_of(pair, tile_px)  # draws numbers when it is first asked for
    torch.manual_seed(seed)
    teacher, student = (create_network(name, CLASSES) for name in PAIRS_OF_TESTS[pair])
    options = resolve_methods(wanted)
    reductions = [chosen.reduction for name, chosen in options.items() if "teacher_head" in METHODS[name].needs]
    if reductions:
        student.put_projector(teacher.head.classifier.in_features, reductions[0])
        student.head.classifier.load_state_dict(teacher.head.classifier.state_dict())
        student.head.classifier.requires_grad_(requires_grad=False)
    objective = Objective(student, build_methods(options, setting), teacher, options)
    known = torch.randn(300, setting.teacher.last[0], generator=torch.Generator().manual_seed(3))
    objective.remember(lambda: known.abs().split(128))
    return objective


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


def in_each_stage(objective):
    """Give a share of a training for each stage; in the first, the methods alone that then do something else."""
    every = objective.methods
    if first := {name: method for name, method in every.items() if name in PREPARING}:
        objective.methods = nn.ModuleDict(first)
        yield EARLY
        objective.methods = every
    yield LATER


def is_finite(step, objective):
    assert step.total.isfinite()
    assert all(loss.isfinite() for loss in step.losses.values()), step.losses
    for name, weight in objective.named_parameters():
        assert weight.grad is None or weight.grad.sum().isfinite(), name  # one NaN or infinity spoils the sum, too


def stored(trace, reads):
    """What a cache would give of a teacher's Trace."""
    return StoredTrace(
        logits=trace.logits.clone(),
        class_weights=trace.class_weights,
        vectors={"embedding": trace.embedding.clone()} if reads.embedding else {},
        means={place: pooled_at(trace, place) for place in reads.pooled},
        cells={(place, side): regions_at(trace, place, side) for place, side in reads.regions},
        tokens={stage: token_at(trace, stage) for stage in reads.tokens},
    )


STORABLE = (
    *("plain", "kd", "kd-ls", "dkd", "dkd-ls", "dist", "rld", "hviskd", "hviskd-authors", "crd", "crd-kd", "wcord"),
    *("wcord-kd", "rkd", "pkt", "cc", "cc-public", "vkd", "cat-kd"),
    *("memory", "token-kl", "token-kl-kd", "token-kl-unlabelled"),
)


@pytest.mark.slow
@pytest.mark.parametrize("preset", STORABLE)
def test_its_losses_are_those_of_the_live_teacher_where_that_was_stored(preset):
    objective, tiles = build(preset), batch(tile_px=48)
    before = copy.deepcopy(objective.state_dict())
    found = []
    for _ in ("live", "stored"):
        torch.manual_seed(5)  # for those that draw
        losses = run(objective, tiles).losses
        found.append((losses, [weight.grad for weight in objective.student.parameters()]))
        objective.zero_grad()
        objective.load_state_dict(before, strict=False)
        if objective.teacher is not None:
            with torch.no_grad():
                seen = stored(objective.teacher.trace(tiles.images), objective.reads())
            tiles, objective.teacher = replace(tiles, teacher=seen), None
    (live, ours), (again, theirs) = found
    assert again.keys() == live.keys()
    for term, loss in live.items():
        torch.testing.assert_close(again[term], loss, rtol=1e-5, atol=0.0)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-6)


def needing_teacher():
    return [name for name in PRESETS if any("teacher" in METHODS[method].needs for method in resolve_methods(name))]


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_it_learns(preset):
    objective = build(preset)
    assert (objective.reads() is not None) == (preset in STORABLE)
    teacher = copy.deepcopy(objective.teacher.state_dict())
    optimizer = torch.optim.SGD(learns(objective), lr=1e-4)
    before = {name: weight.detach().clone() for name, weight in objective.named_parameters()}
    terms = {name: [] for name in objective.methods}
    for progress in (EARLY, LATER):
        step = run(objective, batch(), progress)
        is_finite(step, objective)
        for name in terms:
            terms[name].append({term for term in step.losses if term.split("/")[0] == name})
        optimizer.step()
        optimizer.zero_grad()
    changing = {name for name, (early, later) in terms.items() if early and later and early != later}
    assert changing == PREPARING & terms.keys()
    for name, weight in objective.methods.named_parameters():
        if weight.requires_grad and weight.ndim > 1:  # a bias before a normalisation has no gradient
            assert not torch.equal(weight, before[f"methods.{name}"]), name
    assert any(not torch.equal(w, before[f"student.{name}"]) for name, w in objective.student.named_parameters())
    if not objective.teacher_learns:
        assert all(torch.equal(value, teacher[name]) for name, value in objective.teacher.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair != "resnet"])
@every_mixture_of_maps
def test_its_adapters_fit_and_learn_on_every_pair(mixture, pair):
    absent = {name for name, pairs in (UNFIT | LEFT_OUT).items() if pair in pairs}
    objective = build({name: mixture[name] for name in mixture if name not in absent}, pair)
    learned, met = set(), set()
    for progress in in_each_stage(objective):
        step = run(objective, batch(samples=3), progress)
        is_finite(step, objective)
        met |= {term.split("/")[0] for term in step.losses}
        learned |= {name for name, weight in objective.methods.named_parameters() if weight.grad is not None}
        objective.zero_grad()
    assert met == set(objective.methods)
    assert learned == {name for name, weight in objective.methods.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize(("name", "pair"), [(name, pair) for name, pairs in UNFIT.items() for pair in pairs])
def test_networks_of_other_widths_are_refused(name, pair):
    with pytest.raises(RecipeError, match=name):
        build_methods(resolve_methods(name), setting_of(pair))


@cache
def losses_without_another(preset):
    return run(build(PRESETS[preset]), batch(), 0.6).losses


@pytest.mark.parametrize("name", METHODS)
def test_it_goes_beside_kd_and_hviskd(name):
    step = run(build({**PRESETS["hviskd"], name: {}}), batch(), 0.6)
    assert step.total.isfinite()
    assert {term for term in step.losses if term.split("/")[0] == name}
    if METHODS[name].needs.isdisjoint({"teacher_head", "trained_teacher"}):  # which change what is compared
        beforehand = losses_without_another("hviskd")
        common = beforehand.keys() & {"cross_entropy", "kd", "hviskd/sample_relation", "hviskd/region_relation"}
        assert {term: step.losses[term].item() for term in common} == pytest.approx(
            {term: beforehand[term].item() for term in common}, rel=1e-6
        )


@pytest.mark.slow
@every_mixture
def test_nothing_stays_on_the_processor_when_all_is_elsewhere(mixture):
    """On a device without content, which refuses operands of two devices as a GPU does and cannot be read back."""
    objective, tiles = build(mixture, pair="same").to("meta"), batch()
    there = Batch(tiles.images.to("meta"), tiles.labels.to("meta"), tiles.index.to("meta"))
    for progress in in_each_stage(objective):
        step = run(objective, there, progress)
        assert all(loss.is_meta for loss in (step.total, *step.losses.values()))
    assert all(weight.grad is None or weight.grad.is_meta for weight in objective.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
@pytest.mark.parametrize("preset", PRESETS)
def test_a_gpu_gives_the_losses_of_the_processor(preset):
    here = build(preset)
    there = copy.deepcopy(here).cuda()
    tiles = batch()
    moved = Batch(tiles.images.cuda(), tiles.labels.cuda(), tiles.index.cuda())
    for progress in (EARLY, LATER):
        ours, theirs = run(here, tiles, progress), run(there, moved, progress)
        assert all(weight.grad is None or weight.grad.isfinite().all() for weight in there.parameters())
        for term, loss in ours.losses.items():
            assert theirs.losses[term].isfinite(), term
            if DRAWS.isdisjoint(resolve_methods(preset)):
                assert theirs.losses[term].item() == pytest.approx(loss.item(), rel=0.02, abs=1e-5), term


@pytest.mark.slow
@every_mixture_of_maps
def test_tiles_may_be_of_any_size(mixture):
    """Of 43 px, maps have sides of 43, 22 and 11 px: odd and even, and none divides another."""
    objective = build(mixture, tile_px=43)
    for progress in in_each_stage(objective):
        is_finite(run(objective, batch(43, samples=3), progress), objective)


IMITATED = mixtures(IMITATING)


@pytest.mark.parametrize("mixture", IMITATED.values(), ids=IMITATED)
def test_a_student_that_is_its_teacher_costs_nothing(mixture):
    objective = build(mixture, pair="same")
    objective.student.load_state_dict(objective.teacher.state_dict())
    objective.eval()  # as the teacher is, or the two would normalise differently
    apart = build(mixture)
    alike, other = (run(each, batch(), LATER).losses for each in (objective, apart))
    for name in alike.keys() - {"cross_entropy"}:
        assert abs(alike[name].item()) < 1e-5 * abs(other[name].item()), name
    assert {name.split("/")[0] for name in alike} - {"cross_entropy"} == mixture.keys() - {"cross_entropy"}


@pytest.mark.slow
@pytest.mark.parametrize("value", [0.0, 1.0])  # of black, all maps are nothing; of grey, they differ within a tile
@every_mixture
def test_a_batch_in_which_the_classes_and_tiles_are_all_alike_is_finite(mixture, value):
    objective = build(mixture)
    same = Batch(torch.full((4, 3, 32, 32), value), torch.zeros(4, dtype=torch.int64), torch.arange(4))
    for progress in in_each_stage(objective):
        is_finite(run(objective, same, progress), objective)


@pytest.mark.slow
@every_mixture
def test_mixed_precision_keeps_the_losses_in_full(mixture):
    objective = build(mixture, pair="same")
    for progress in in_each_stage(objective):
        objective.progress = progress
        with torch.autocast("cpu", torch.bfloat16):
            step = objective(batch(samples=2))  # many processors convolve bfloat16 slowly
        assert all(loss.dtype == torch.float32 for loss in step.losses.values())
        step.total.backward()
        is_finite(step, objective)


@pytest.mark.slow
@every_mixture
def test_what_a_checkpoint_restores_goes_on_as_if_nothing_had_happened(mixture):
    first = build(mixture)
    optimizer = torch.optim.SGD(learns(first), lr=1e-5, momentum=0.9)
    for progress in in_each_stage(first):
        torch.manual_seed(7)
        run(first, batch(), progress)
        optimizer.step()
        optimizer.zero_grad()
    second = build(mixture, seed=1)
    second.load_state_dict(first.state_dict())
    losses = []
    for objective in (first, second):
        torch.manual_seed(8)
        losses.append(run(objective, batch(seed=2), 0.6).losses)
    assert {term: loss.item() for term, loss in losses[0].items()} == {t: loss.item() for t, loss in losses[1].items()}


@pytest.mark.parametrize("preset", needing_teacher())
def test_without_a_teacher_it_says_so(preset):
    setting = Setting(shapes("resnet8", 32), None, CLASSES, torch.arange(TILES) % CLASSES)
    with pytest.raises(RecipeError, match="needs a teacher"):
        build_methods(resolve_methods(preset), setting)


def test_every_method_is_run_by_a_preset_and_by_a_mixture():
    assert {method for preset in PRESETS for method in resolve_methods(preset)} == set(METHODS)
    assert {method for mixture in MIXTURES.values() for method in mixture} == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_weight_scales_all_that_a_method_adds_to_the_learning(name):
    kind = METHODS[name]
    given = kind.Options()
    doubled = kind.Options.model_validate(given.model_dump() | {"weight": 2 * given.weight})
    method, other = (kind(chosen, setting_of()) for chosen in (given, doubled))
    scaled = {term for term, value in method.weights.items() if other.weights[term] == pytest.approx(2 * value)}
    own = {term for term in method.weights if term not in scaled}
    assert scaled
    assert own <= {"teacher_head", "reconstruction", "teacher_exits", "peer"}  # what a teacher's side learns for itself


def with_strangers(tiles, strangers=6):
    """Put tiles without label behind those of a batch."""
    more = batch(samples=strangers, seed=9)
    none = torch.full((strangers,), -1)
    return Batch(
        torch.cat([tiles.images, more.images]),
        torch.cat([tiles.labels, none]),
        torch.cat([tiles.index, none]),
        labelled=len(tiles.images),
    )


@pytest.mark.slow
@pytest.mark.parametrize("mixture", MIXTURES)
def test_tiles_without_label_reach_just_the_methods_that_read_none(mixture):
    objective = build(MIXTURES[mixture])
    objective.eval()  # so that the labelled tiles' features do not depend on the others
    tiles = batch()
    alone, joined = (run(copy.deepcopy(objective), seen) for seen in (tiles, with_strangers(tiles)))
    assert torch.allclose(joined.logits, alone.logits, rtol=1e-4, atol=1e-5)
    reading = {name for name in MIXTURES[mixture] if METHODS[name].reads_labels}
    for term, loss in alone.losses.items():
        if (name := term.split("/")[0]) in reading and name not in DRAWS:
            assert joined.losses[term].item() == pytest.approx(loss.item(), rel=1e-3, abs=1e-6), term
        assert joined.losses[term].isfinite()
    told = {term.split("/")[0] for term, loss in joined.losses.items() if not torch.allclose(loss, alone.losses[term])}
    assert told >= {name for name in MIXTURES[mixture] if not METHODS[name].reads_labels}


@pytest.mark.slow
@pytest.mark.parametrize("mixture", MIXTURES)
def test_what_reads_no_label_gives_the_same_whatever_the_labels_are(mixture):
    objective, tiles = build(MIXTURES[mixture]), batch()
    objective.eval()
    wrong = replace(tiles, labels=(tiles.labels + 1) % CLASSES, index=tiles.index + 1)
    torch.manual_seed(0)
    told = run(copy.deepcopy(objective), tiles).losses
    torch.manual_seed(0)
    again = run(copy.deepcopy(objective), wrong).losses
    for term, loss in told.items():
        if not METHODS[term.split("/")[0]].reads_labels:
            assert torch.equal(loss, again[term]), term
