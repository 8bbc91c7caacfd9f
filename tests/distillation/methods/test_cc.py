"""CC: the paper's Gaussian correlation against SciPy, and the form its author gave away against loops."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from hviskd.distillation import build_methods, resolve_methods
from hviskd.distillation.methods.cc import CC, CCOptions, gaussian_series, successive_differences
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, FakeTrace, draw_batch, draw_trace


def unit_vectors(seed, samples=6, width=8):
    vectors = np.random.default_rng(seed).normal(size=(samples, width))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def traces():
    return (
        draw_trace(shapes, seed=seed, dtype=torch.float64)
        for shapes, seed in ((SHAPES_STUDENT, 1), (SHAPES_TEACHER, 2))
    )


def embedded(method, student, teacher):
    """Both networks' embeddings by NumPy."""
    return [
        trace.last.numpy().mean(axis=(2, 3)) @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()
        for trace, linear in ((student, method.embed_student), (teacher, method.embed_teacher))
    ]


def test_the_series_ends_in_the_gaussian_kernel():
    vectors = unit_vectors(1)
    series = gaussian_series(torch.from_numpy(vectors), 0.4, 12).numpy()
    np.testing.assert_allclose(series, np.exp(-0.4 * cdist(vectors, vectors, "sqeuclidean")), rtol=1e-7)


def test_order_two_is_its_parabola():
    vectors = unit_vectors(1)
    products = vectors @ vectors.T
    expected = np.exp(-0.8) * (1 + 0.8 * products + 0.32 * products**2)
    np.testing.assert_allclose(gaussian_series(torch.from_numpy(vectors), 0.4, 2).numpy(), expected, rtol=1e-12)


def test_the_paper_s_losses(setting):
    method = CC(CCOptions(), setting).double()
    student, teacher = traces()
    losses = method(draw_batch(), student, teacher)
    ours, theirs = (e / np.linalg.norm(e, axis=1, keepdims=True) for e in embedded(method, student, teacher))
    psi = [np.exp(-0.8) * (1 + 0.8 * e @ e.T + 0.32 * (e @ e.T) ** 2) for e in (ours, theirs)]
    assert losses["instance"].item() == pytest.approx(((ours - theirs) ** 2).sum() / 6, rel=1e-9)
    assert losses["correlation"].item() == pytest.approx(((psi[0] - psi[1]) ** 2).sum() / 36, rel=1e-9)
    assert method.weights == {"instance": 1.0, "correlation": 0.003}


def test_the_public_loss(setting):
    method = build_methods(resolve_methods("cc-public"), setting)["cc"].double()
    student, teacher = traces()
    loss = method(draw_batch(), student, teacher)["correlation"]
    ours, theirs = embedded(method, student, teacher)
    difference = np.abs(ours - theirs)
    assert loss.item() == pytest.approx(np.mean([difference[i] @ difference[i + 1] for i in range(5)]), rel=1e-9)
    assert method.weights == {"correlation": 0.02}


@pytest.mark.parametrize(("variant", "learns"), [("paper", False), ("public", True)])
def test_only_the_public_form_teaches_the_teacher_s_embedding(setting, variant, learns):
    method = CC(CCOptions(variant=variant), setting).double()
    sum(method(draw_batch(), *traces()).values()).backward()
    assert method.embed_student.weight.grad.abs().max() > 0
    assert (method.embed_teacher.weight.grad is not None) is learns


def test_equal_embeddings_cost_nothing_and_have_a_finite_gradient():
    student = torch.randn(6, 8, requires_grad=True)
    loss = successive_differences(student, student.detach())
    loss.backward()
    assert loss.item() == 0
    assert student.grad.isfinite().all()


def test_a_single_tile_follows_no_other():
    assert successive_differences(torch.ones(1, 4), torch.zeros(1, 4)).item() == 0


def test_tiles_without_any_activation_do_no_harm(setting):
    method = CC(CCOptions(), setting)
    with torch.no_grad():
        method.embed_student.bias.zero_()
    last = torch.zeros(6, *SHAPES_STUDENT[-1]).requires_grad_()
    losses = method(draw_batch(), FakeTrace([], last=last), draw_trace(SHAPES_TEACHER))
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert last.grad.abs().max() < 1
