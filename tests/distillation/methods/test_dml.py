"""DML: who learns from whom, and that both do in one step."""

import pytest
import torch
from scipy.special import log_softmax, rel_entr, softmax
from torch import nn

from hviskd.distillation import Batch, Objective, Setting, build_methods, resolve_methods
from hviskd.distillation.methods.dml import DML, DMLOptions
from hviskd.networks import create_network
from tests.distillation.conftest import SHAPES_STUDENT, FakeTrace, draw_batch, draw_trace


def peers():
    torch.manual_seed(0)
    return create_network("resnet8", 3), create_network("resnet14", 3)


def images():
    return Batch(
        torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)), torch.arange(4) % 3, torch.arange(4)
    )


def objective_of(preset, student, peer):
    setting = Setting(student.shapes(32), peer.shapes(32), 3, torch.arange(4) % 3)
    return Objective(student, build_methods(resolve_methods(preset), setting), peer)


def test_each_loss_is_what_the_paper_says(setting):
    student, peer = (draw_trace(SHAPES_STUDENT, seed=seed, dtype=torch.float64) for seed in (1, 2))
    batch = draw_batch()
    losses = DML(DMLOptions(), setting)(batch, student, peer)
    ours, theirs = (softmax(trace.logits.numpy(), axis=1) for trace in (student, peer))
    labels = -log_softmax(peer.logits.numpy(), axis=1)[range(6), batch.labels].mean()
    assert losses["student_from_peer"].item() == pytest.approx(rel_entr(theirs, ours).sum(axis=1).mean(), rel=1e-9)
    assert losses["peer_from_student"].item() == pytest.approx(rel_entr(ours, theirs).sum(axis=1).mean(), rel=1e-9)
    assert losses["peer_from_labels"].item() == pytest.approx(labels, rel=1e-9)


def test_equal_peers_have_nothing_to_tell_each_other(setting):
    trace = draw_trace(SHAPES_STUDENT)
    losses = DML(DMLOptions(), setting)(draw_batch(), trace, trace)
    assert losses["student_from_peer"].item() == losses["peer_from_student"].item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("term", "learner"),
    [("student_from_peer", "student"), ("peer_from_student", "peer"), ("peer_from_labels", "peer")],
)
def test_each_loss_reaches_its_own_network_alone(setting, term, learner):
    logits = {"student": torch.randn(6, 5, requires_grad=True), "peer": torch.randn(6, 5, requires_grad=True)}
    losses = DML(DMLOptions(), setting)(draw_batch(), *(FakeTrace([], None, z) for z in logits.values()))
    losses[term].backward()
    assert {name for name, z in logits.items() if z.grad is not None} == {learner}


def test_one_step_of_the_mixture_moves_both_networks():
    objective = objective_of("dml", *peers())
    before = {name: weight.detach().clone() for name, weight in objective.named_parameters()}
    optimizer = torch.optim.SGD([weight for weight in objective.parameters() if weight.requires_grad], lr=0.1)
    objective(images()).total.backward()
    optimizer.step()
    assert all(not torch.equal(weight, before[name]) for name, weight in objective.named_parameters())


def test_other_methods_of_the_mixture_teach_the_student_and_not_the_peer():
    """KD beside DML takes the peer as a teacher: its gradient is not to make the teacher easier to imitate."""
    gradients = []
    for methods in ({"cross_entropy": {}, "dml": {}}, {"cross_entropy": {}, "dml": {}, "kd": {}, "hviskd": {}}):
        student, peer = peers()
        objective = objective_of(methods, student, peer)
        objective(images()).total.backward()
        gradients.append([nn.utils.parameters_to_vector(w.grad for w in net.parameters()) for net in (student, peer)])
    torch.testing.assert_close(gradients[0][1], gradients[1][1])
    assert not torch.allclose(gradients[0][0], gradients[1][0])
