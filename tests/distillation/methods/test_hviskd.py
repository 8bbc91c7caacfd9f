"""The HVisKD method: golden values, invariances, scale modes, gradients, two processes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hviskd.distillation import PRESETS, HVisKD, HVisKDOptions, Reads, Setting, build_methods, resolve_methods
from hviskd.errors import RecipeError
from tests.distillation.conftest import (
    SHAPES_STUDENT,
    SHAPES_TEACHER,
    FakeShapes,
    FakeTrace,
    draw_batch,
    draw_trace,
    shapes_of,
)

TERMS = ("sample_relation", "sample_feature", "region_relation", "region_feature")
GOLDEN = Path(__file__).with_name("golden_hviskd_losses.npz")


def traces(teacher_seed=1, student_seed=2, dtype=torch.float64, **kwargs):
    return (
        draw_trace(SHAPES_STUDENT, seed=student_seed, dtype=dtype, **kwargs),
        draw_trace(SHAPES_TEACHER, seed=teacher_seed, dtype=dtype, **kwargs),
    )


def set_scales(method, alpha, beta):
    with torch.no_grad():
        method.sample_scale.raw.fill_(alpha)
        method.region_scale.raw.fill_(beta)


@pytest.mark.parametrize("case", [0, 1, 2])
def test_meets_the_golden_values(case):
    golden = np.load(GOLDEN, allow_pickle=False)
    teacher = [torch.from_numpy(golden[f"teacher{i}"]) for i in range(3)]
    student = [torch.from_numpy(golden[f"student{i}"]) for i in range(3)]
    setting = Setting(shapes_of(student), shapes_of(teacher), 2, None)
    method = HVisKD(HVisKDOptions(stages=((0, 0), (1, 1), (2, 2))), setting).double()
    set_scales(method, golden[f"case{case}_alpha"].item(), golden[f"case{case}_beta"].item())
    with torch.no_grad():
        for i in range(3):
            method.sample_adapters[i].weight.copy_(torch.from_numpy(golden[f"w_sample{i}"]))
            method.region_adapters[i].weight.copy_(torch.from_numpy(golden[f"w_region{i}"])[:, :, None, None])
    losses = method(draw_batch(), FakeTrace(student, None, None), FakeTrace(teacher, None, None))
    for term in TERMS:
        assert losses[term].item() == pytest.approx(golden[f"case{case}_{term}"].item(), rel=1e-9)


def test_does_not_depend_on_the_order_of_the_batch(setting):
    method = HVisKD(HVisKDOptions(), setting).double()
    set_scales(method, 0.3, -0.2)
    student, teacher = traces()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    shuffled = [FakeTrace([map_[order] for map_ in trace.stages], None, None) for trace in (student, teacher)]
    before, after = method(draw_batch(), student, teacher), method(draw_batch(), *shuffled)
    for term in TERMS:
        assert after[term].item() == pytest.approx(before[term].item(), rel=1e-12)


def test_is_zero_with_finite_gradients_where_teacher_equals_student():
    shapes = SHAPES_TEACHER
    method = HVisKD(HVisKDOptions(), Setting(FakeShapes(shapes), FakeShapes(shapes), 5, torch.zeros(1)))
    for linear, conv in zip(method.sample_adapters, method.region_adapters, strict=True):
        nn.init.eye_(linear.weight)
        nn.init.dirac_(conv.weight)
    trace = draw_trace(shapes)
    student = FakeTrace([map_.clone().requires_grad_() for map_ in trace.stages], None, None)
    losses = method(draw_batch(), student, trace)
    torch.stack(list(losses.values())).sum().backward()
    for term in TERMS:
        assert losses[term].item() == pytest.approx(0, abs=1e-5)
    for learned in [*student.stages[1:], *method.parameters()]:
        assert learned.grad.isfinite().all()


def test_twice_the_batch_is_root_two_of_the_loss_while_the_scales_are_zero(setting):
    method = HVisKD(HVisKDOptions(scale="frozen"), setting).double()
    student, teacher = traces()
    twice = [FakeTrace([torch.cat([map_, map_]) for map_ in trace.stages], None, None) for trace in (student, teacher)]
    once, doubled = method(draw_batch(), student, teacher), method(draw_batch(), *twice)
    for term in TERMS:
        assert (doubled[term] / once[term]).item() == pytest.approx(2**0.5, rel=1e-9)


def gradients_of_scales(mode, setting):
    method = HVisKD(HVisKDOptions(scale=mode), setting).double()
    torch.manual_seed(3)
    for adapter in [*method.sample_adapters, *method.region_adapters]:
        nn.init.normal_(adapter.weight)
    student, teacher = traces()
    losses = method(draw_batch(), student, teacher)
    (losses["sample_feature"] + losses["region_feature"]).backward()
    return method


def test_scale_modes(setting):
    shared, student = gradients_of_scales("shared", setting), gradients_of_scales("student", setting)
    assert shared.learned() == student.learned() == {"alpha": 0.0, "beta": 0.0}
    # The same forward values; only the gradient knows that the teacher's side is held still.
    assert shared.sample_scale.raw.grad.item() != pytest.approx(student.sample_scale.raw.grad.item(), rel=1e-3)
    assert shared.region_scale.raw.grad.item() != pytest.approx(student.region_scale.raw.grad.item(), rel=1e-3)
    positive = gradients_of_scales("positive", setting)
    assert positive.learned()["alpha"] == pytest.approx(0.1)
    set_scales(positive, -50.0, -50.0)
    assert positive.learned()["alpha"] > 0
    frozen = gradients_of_scales("frozen", setting)
    assert not any("scale" in name for name, _ in frozen.named_parameters())
    assert frozen.learned() == {"alpha": 0.0, "beta": 0.0}


def test_the_student_mode_gradient_is_the_derivative_with_the_teacher_held_still(setting):
    method = gradients_of_scales("student", setting)
    student, teacher = traces()
    step = 1e-6

    def loss_at(alpha):
        from hviskd.distillation import sample_relation

        total = 0.0
        for position in range(3):
            _, target = sample_relation(teacher.stages[position + 1], 0.0)
            _, ours = sample_relation(student.stages[position + 1], alpha)
            total += torch.linalg.vector_norm(target - method.sample_adapters[position](ours)).item()
        return total

    numeric = (loss_at(step) - loss_at(-step)) / (2 * step)
    assert method.sample_scale.raw.grad.item() == pytest.approx(numeric, rel=1e-5)


def test_runs_in_float32_inside_mixed_precision(setting):
    method = HVisKD(HVisKDOptions(), setting)
    student, teacher = traces(dtype=torch.float32)
    expected = method(draw_batch(), student, teacher)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = method(draw_batch(), student, teacher)
    for term in TERMS:
        assert mixed[term].dtype == torch.float32
        assert mixed[term].item() == expected[term].item()


def test_full_linear_adapters_are_the_authors_and_far_larger():
    shapes_teacher = [(64, 150, 150), (128, 75, 75), (256, 37, 37), (512, 18, 18), (512, 18, 18)]  # vgg19
    shapes_student = [(24, 150, 150), (240, 75, 75), (480, 38, 38), (960, 19, 19)]  # shufflenet_v1
    with torch.device("meta"):
        setting = Setting(FakeShapes(shapes_student), FakeShapes(shapes_teacher), 8, torch.zeros(1))
        convolutional = HVisKD(HVisKDOptions(), setting)
        linear = HVisKD(HVisKDOptions(region_adapter="linear"), setting)
    assert sum(weight.numel() for weight in linear.region_adapters.parameters()) == 165_150_720
    assert sum(weight.numel() for weight in convolutional.region_adapters.parameters()) == 645_120
    assert sum(weight.numel() for weight in convolutional.sample_adapters.parameters()) == 645_120


def test_a_linear_adapter_that_repeats_the_convolution_gives_its_loss(setting):
    conv, linear = (HVisKD(HVisKDOptions(region_adapter=kind), setting).double() for kind in ("conv", "linear"))
    with torch.no_grad():
        for ours, theirs in zip(linear.region_adapters, conv.region_adapters, strict=True):
            ours.linear.weight.copy_(torch.kron(theirs.weight[:, :, 0, 0], torch.eye(16)))
        for ours, theirs in zip(linear.sample_adapters, conv.sample_adapters, strict=True):
            ours.weight.copy_(theirs.weight)
    student, teacher = traces()
    for term, loss in conv(draw_batch(), student, teacher).items():
        assert linear(draw_batch(), student, teacher)[term].item() == pytest.approx(loss.item(), rel=1e-12)


def test_presets_are_the_paper_and_the_authors_run():
    paper = resolve_methods("hviskd")
    assert [*paper] == ["cross_entropy", "kd", "hviskd"]
    assert paper["cross_entropy"].weight == paper["kd"].weight == 1
    assert paper["kd"].temperature == 4
    assert paper["hviskd"].weight == 0.7
    assert [getattr(paper["hviskd"], term) for term in TERMS] == [0.1, 0.05, 0.1, 0.01]
    assert paper["hviskd"].scale == "shared"
    authors = resolve_methods("hviskd-authors")
    assert [*authors] == ["cross_entropy", "hviskd"]
    assert (authors["hviskd"].scale, authors["hviskd"].region_adapter) == ("frozen", "linear")
    assert {"plain", "kd", "hviskd", "hviskd-authors"} <= set(PRESETS)


def test_weights_multiply(setting):
    method = HVisKD(HVisKDOptions(weight=0.5, sample_relation=0.2), setting)
    assert method.weights["sample_relation"] == pytest.approx(0.1)


def test_a_stage_that_does_not_exist_is_an_error_in_words(setting):
    with pytest.raises(RecipeError, match=r"methods\.hviskd\.stages: the teacher has no stage 9, only 0 \(stem\) to 3"):
        build_methods(resolve_methods({"hviskd": {"stages": [[9, 1]]}}), setting)


def standard(vectors):
    return (vectors - vectors.mean(axis=0)) / vectors.std(axis=0)


def relation_by_hand(vectors, form):
    z = standard(vectors)
    if form == "centred":
        return z @ z.T / np.linalg.norm(z @ z.T)
    lengths = np.linalg.norm(z, axis=1)
    cosines = z @ z.T / np.outer(lengths, lengths)
    if form == "cosine":
        return cosines
    return np.exp(cosines / 0.3) / np.exp(cosines / 0.3).sum(axis=1, keepdims=True)


@pytest.mark.parametrize("form", ["centred", "cosine", "softmax"])
def test_other_relations_at_the_vector_of_the_classifier_are_those_of_numpy(setting, form):
    chosen = {"stages": (("last", "last"),), "relation": form, "temperature": 0.3, "feature_loss": "mean_square"}
    method = HVisKD(HVisKDOptions(**chosen, region_relation=0, region_feature=0), setting).double()
    student, teacher = traces()
    with torch.no_grad():
        method.sample_scale.raw.fill_(0.4)
    losses = method(draw_batch(), student, teacher)
    t, s = teacher.embedding.numpy(), student.embedding.numpy()
    m_t, m_s = relation_by_hand(t, form), relation_by_hand(s, form)
    weight = method.sample_adapters[0].weight.detach().numpy()
    features = (t + 0.4 * m_t @ t) - (s + 0.4 * m_s @ s) @ weight.T
    assert losses.keys() == method.weights.keys() == {"sample_relation", "sample_feature"}
    assert losses["sample_relation"].item() == pytest.approx(np.linalg.norm(m_t - m_s), rel=1e-9)
    assert losses["sample_feature"].item() == pytest.approx((features**2).mean(), rel=1e-9)
    assert method.reads() == Reads(embedding=True)
    assert list(method.learned()) == ["alpha"]


def test_the_regions_of_the_last_map_and_their_mean_of_squares(setting):
    chosen = {"stages": (("last", "last"),), "feature_loss": "mean_square", "levels": (2, 4)}
    method = HVisKD(HVisKDOptions(**chosen, sample_relation=0, sample_feature=0), setting).double()
    student, teacher = traces()
    losses = method(draw_batch(), student, teacher)
    pooled = [torch.nn.functional.adaptive_avg_pool2d(trace.last, 4) for trace in (teacher, student)]
    expected = (pooled[0] - method.region_adapters[0](pooled[1])).square().mean()  # β is 0 at the start
    assert losses["region_feature"].item() == pytest.approx(expected.item(), rel=1e-9)
    assert method.reads() == Reads(regions=frozenset({("last", 4)}))
    assert list(method.learned()) == ["beta"]


def test_a_term_needs_a_weight():
    none = dict.fromkeys(TERMS, 0)
    with pytest.raises(RecipeError, match="at least one of the four terms"):
        resolve_methods({"cross_entropy": {}, "hviskd": none})
