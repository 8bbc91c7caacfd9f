"""TOFD: the teacher's exits learn first and are then held still; the student's four terms against NumPy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, rel_entr, softmax
from scipy.stats import ortho_group

from hviskd.distillation import Batch
from hviskd.distillation.methods.tofd import TOFD, TOFDOptions, unorthogonality
from hviskd.errors import RecipeError
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, FakeTrace, draw_batch, draw_trace


def traces(dtype=torch.float64):
    """Give a student and a teacher whose maps could hand on a gradient."""
    made = draw_trace(SHAPES_STUDENT, seed=1, dtype=dtype), draw_trace(SHAPES_TEACHER, seed=2, dtype=dtype)
    return [replace(trace, stages=[map_.clone().requires_grad_() for map_ in trace.stages]) for trace in made]


def at(progress):
    return replace(draw_batch(), progress=progress)


def vectors_and_logits(method, student, teacher):
    """What stands at every exit and at the end of both networks."""
    with torch.no_grad():
        theirs = [leave(teacher.stages[stage]) for stage, leave in zip((1, 2), method.teacher_exits, strict=True)]
        ours = [leave(student.stages[stage]) for stage, leave in zip((1, 2), method.student_exits, strict=True)]
    theirs.append((teacher.last.mean(dim=(2, 3)), teacher.logits))
    ours.append((student.last.mean(dim=(2, 3)), student.logits))
    return [
        ([part.numpy() for part in ours_], [part.numpy() for part in theirs_])
        for ours_, theirs_ in zip(ours, theirs, strict=True)
    ]


def test_the_terms_are_those_of_the_formulas(setting):
    method = TOFD(TOFDOptions(), setting).double().eval()
    student, teacher = traces()
    losses = method(at(0.5), student, teacher)
    labels, temperature = draw_batch().labels.numpy(), 1 + 3 * 0.5
    exits = imitation = feature = orthogonality = 0.0
    for position, ((vector, logits), (target, target_logits)) in enumerate(
        vectors_and_logits(method, student, teacher)
    ):
        link = method.links[position].weight.detach().numpy()
        if position < 2:
            exits -= log_softmax(logits, axis=1)[np.arange(6), labels].mean()
        p_t, p_s = (softmax(values / temperature, axis=1) for values in (target_logits, logits))
        imitation += rel_entr(p_t, p_s).sum(axis=1).mean()
        feature += np.linalg.norm(target - vector @ link.T)
        for product in (link @ link.T, link.T @ link):
            orthogonality += np.linalg.norm(product - np.eye(len(product)))
    expected = {"exits": exits, "imitation": imitation, "feature": feature, "orthogonality": orthogonality}
    assert {term: loss.item() for term, loss in losses.items()} == pytest.approx(expected, rel=1e-9)


def test_first_only_the_teachers_exits_learn(setting):
    method = TOFD(TOFDOptions(), setting).double()
    student, teacher = traces()
    losses = method(at(0.0), student, teacher)
    assert list(losses) == ["teacher_exits"]
    losses["teacher_exits"].backward()
    moved = {name.split(".")[0] for name, weight in method.named_parameters() if weight.grad is not None}
    assert moved == {"teacher_exits"}
    assert all(map_.grad is None for trace in (student, teacher) for map_ in trace.stages)


def test_then_they_are_held_still_with_their_statistics(setting):
    method = TOFD(TOFDOptions(), setting).double().train()
    student, teacher = traces()
    before = {name: value.clone() for name, value in method.teacher_exits.state_dict().items()}
    torch.stack(list(method(at(0.5), student, teacher).values())).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in method.teacher_exits.state_dict().items())
    assert all(weight.grad is None for weight in method.teacher_exits.parameters())
    assert all(map_.grad is None for map_ in teacher.stages)
    assert all(
        weight.grad.isfinite().all() for weight in [*method.student_exits.parameters(), *method.links.parameters()]
    )
    assert all(student.stages[stage].grad.abs().max() > 0 for stage in (1, 2))


def test_exits_go_through_the_widths_and_strides_that_the_network_still_has(setting):
    method = TOFD(TOFDOptions(stages=((1, 3),)), setting)
    body = method.teacher_exits[0].body
    assert body(torch.randn(2, 8, 12, 12)).shape == (2, 16, 3, 3)
    assert method.student_exits[0].body(torch.randn(2, 16, 3, 3)).shape == (2, 16, 3, 3)


def test_an_orthogonal_matrix_costs_nothing_and_has_a_finite_gradient():
    matrix = torch.from_numpy(ortho_group.rvs(5, random_state=0)).requires_grad_()
    cost = unorthogonality(matrix)
    cost.backward()
    assert cost.item() == pytest.approx(0, abs=1e-12)
    assert matrix.grad.isfinite().all()
    exact = torch.eye(4, requires_grad=True)
    unorthogonality(exact).backward()
    assert not exact.grad.any()


def test_weights_multiply(setting):
    method = TOFD(TOFDOptions(weight=2, feature=0.05, orthogonality=0.03), setting)
    expected = {"teacher_exits": 1, "exits": 2, "imitation": 2, "feature": 0.1, "orthogonality": 0.06}
    assert method.weights == pytest.approx(expected)


def test_constant_maps(setting):
    method = TOFD(TOFDOptions(), setting)
    traces = []
    for shapes in (SHAPES_STUDENT, SHAPES_TEACHER):
        maps = [torch.zeros(6, *shape, requires_grad=True) for shape in shapes]
        traces.append(FakeTrace(maps, last=maps[-1], logits=torch.zeros(6, 5)))
    batch = Batch(torch.zeros(6, 3, 4, 4), torch.zeros(6, dtype=torch.int64), torch.arange(6), progress=0.5)
    torch.stack(list(method(batch, *traces).values())).sum().backward()
    assert all(map_.grad.isfinite().all() for map_ in traces[0].stages[1:3])
    assert all(weight.grad.isfinite().all() for weight in method.student_exits.parameters())


def test_a_stage_that_is_not_there(setting):
    with pytest.raises(RecipeError, match=r"methods\.tofd\.stages"):
        TOFD(TOFDOptions(stages=((1, 4),)), setting)


def test_exits_weigh_labels_if_classes_are_balanced(setting):
    weights, labels = np.array([0.5, 2.0, 1.0, 3.0, 0.25]), draw_batch().labels.numpy()
    method = TOFD(TOFDOptions(), replace(setting, label_weights=torch.from_numpy(weights))).double().eval()
    student, teacher = traces()
    found = method(at(0.5), student, teacher)["exits"].item()
    exits = [logits for (_, logits), _ in vectors_and_logits(method, student, teacher)[:-1]]
    each = [-log_softmax(logits, axis=1)[range(6), labels] for logits in exits]
    assert found == pytest.approx(sum(np.average(loss, weights=weights[labels]) for loss in each), rel=1e-9)
