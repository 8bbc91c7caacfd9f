"""Token KL: whom a tile resembles and which of its tokens are alike, against NumPy; the queue and what restores it."""

import copy

import numpy as np
import pytest
import torch

from hviskd.distillation import Setting
from hviskd.distillation.methods.token_kl import TokenKL, TokenKLOptions, queue_length
from hviskd.distillation.relations import row_divergence
from tests.distillation.conftest import SHAPES_STUDENT, SHAPES_TEACHER, FakeShapes, draw_batch, draw_trace


def pair(seed=1, student=SHAPES_STUDENT, samples=6):
    return (
        draw_trace(student, samples=samples, seed=seed, dtype=torch.float64),
        draw_trace(SHAPES_TEACHER, samples=samples, seed=seed + 50, dtype=torch.float64),
    )


def setting(tiles=60, student=SHAPES_STUDENT):
    return Setting(FakeShapes(student), FakeShapes(SHAPES_TEACHER), num_classes=5, labels=torch.arange(tiles) % 5)


def method(seed=0, tiles=60, student=SHAPES_STUDENT, **options):
    torch.manual_seed(seed)
    made = TokenKL(TokenKLOptions(**options), setting(tiles, student)).double()
    for projection in (made.vectors, made.maps):
        torch.nn.init.normal_(projection.weight)
        torch.nn.init.normal_(projection.bias)
    return made


def cosines(left, right):
    lengths = np.linalg.norm(left, axis=-1)[:, None] * np.linalg.norm(right, axis=-1)[None]
    return left @ right.T / lengths


def divergence(teacher, student):
    p, q = (np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True) for scores in (teacher, student))
    return (p * np.log(p / q)).sum(axis=-1).mean()


def resized(image, side):
    """Bilinear, with the pixels' centres as sampling points: (C, H, W) → (C, side, side)."""

    def weights(length):
        at = np.clip((np.arange(side) + 0.5) * length / side - 0.5, 0, length - 1)
        low = np.floor(at).astype(int)
        matrix = np.zeros((side, length))
        for row, (lower, exact) in enumerate(zip(low, at, strict=True)):
            matrix[row, lower] += 1 - (exact - lower)
            matrix[row, min(lower + 1, length - 1)] += exact - lower
        return matrix

    return np.einsum("ih,chw,jw->cij", weights(image.shape[1]), image, weights(image.shape[2]))


def projected(layer, vectors):
    return vectors @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


def test_both_terms_are_those_of_numpy():
    made, (student, teacher) = method(temperature=0.5), pair()
    found = made(draw_batch(), student, teacher)
    theirs, ours = teacher.last.numpy(), student.last.numpy()
    means = theirs.mean(axis=(2, 3))
    mine = projected(made.vectors, ours.mean(axis=(2, 3)))
    expected = divergence(cosines(means, means) / 0.5, cosines(mine, means) / 0.5)
    assert found["embedding"].item() == pytest.approx(expected, rel=1e-10)
    rows = []
    for tile, other in zip(theirs, ours, strict=True):
        maps = resized(projected(made.maps, other.transpose(1, 2, 0)).transpose(2, 0, 1), 5)
        tokens, twins = tile.reshape(16, -1).T, maps.reshape(16, -1).T
        rows.append(divergence(cosines(tokens, tokens) / 0.5, cosines(twins, twins) / 0.5))
    assert found["tokens"].item() == pytest.approx(np.mean(rows), rel=1e-10)
    assert made.weights == {"embedding": 1.0, "tokens": 1.0}


def test_the_queue_remembers_earlier_batches_and_forgets_the_oldest():
    made = method()
    assert made.queue.shape == (64, 16)
    means = []
    for step in range(12):  # 72 tiles
        student, teacher = pair(seed=step)
        loss = made(draw_batch(), student, teacher)["embedding"]
        means.append(teacher.last.numpy().mean(axis=(2, 3)))
    kept = np.concatenate(means)[-64:]
    mine = projected(made.vectors, student.last.numpy().mean(axis=(2, 3)))
    expected = divergence(cosines(means[-1], kept) / 0.07, cosines(mine, kept) / 0.07)
    assert loss.item() == pytest.approx(expected, rel=1e-9)


def test_a_batch_longer_than_the_queue_leaves_its_end_in_it():
    made = method()
    rows = torch.nn.functional.normalize(torch.randn(100, 16, dtype=torch.float64), dim=1)
    made._remember(rows)
    assert sorted(made.queue[:, 0].tolist()) == sorted(rows[-64:, 0].tolist())


@pytest.mark.parametrize(
    ("tiles", "longest", "length"),
    [(10, 8192, 64), (200, 8192, 64), (256, 8192, 128), (3000, 8192, 1024), (10**6, 8192, 8192), (10**6, 100, 100)],
)
def test_the_queue_is_shorter_for_few_tiles(tiles, longest, length):
    assert queue_length(tiles, longest) == length


def test_what_a_checkpoint_restores_has_the_queue():
    first = method()
    first(draw_batch(), *pair(seed=3))
    restored = method(seed=9)
    restored.load_state_dict(copy.deepcopy(first.state_dict()))
    ours, again = (made(draw_batch(), *pair(seed=4)) for made in (first, restored))
    assert torch.equal(ours["embedding"], again["embedding"])
    assert restored.seen == 12


def test_the_student_and_both_projections_learn_and_the_teacher_gets_no_gradient():
    made, (student, teacher) = method(), pair()
    for trace in (student, teacher):
        trace.last.requires_grad_()
    torch.stack(list(made(draw_batch(), student, teacher).values())).sum().backward()
    assert student.last.grad.abs().sum() > 0
    assert teacher.last.grad is None
    assert made.vectors.weight.grad.abs().sum() > 0
    assert made.maps.weight.grad.abs().sum() > 0


def test_the_gradient_is_that_of_differences():
    made, (student, teacher) = method(temperature=0.5), pair(samples=3)

    def loss(maps):
        fresh = copy.deepcopy(made)
        changed = copy.copy(student)
        object.__setattr__(changed, "last", maps)
        return torch.stack(list(fresh(draw_batch(3), changed, teacher).values())).sum()

    assert torch.autograd.gradcheck(loss, (student.last.clone().requires_grad_(),), fast_mode=True)


def test_a_student_like_its_teacher_loses_nothing():
    made = method(student=SHAPES_TEACHER)
    with torch.no_grad():
        for projection in (made.vectors, made.maps):
            projection.weight.copy_(torch.eye(16))
            projection.bias.zero_()
    teacher = draw_trace(SHAPES_TEACHER, seed=3, dtype=torch.float64)
    losses = made(draw_batch(), teacher, teacher)
    assert losses["embedding"].item() == pytest.approx(0, abs=1e-12)
    assert losses["tokens"].item() == pytest.approx(0, abs=1e-12)


def test_empty_places_and_dead_maps_do_no_harm():
    scores = torch.tensor([[0.0, 1.0, -torch.inf]], dtype=torch.float64)
    other = torch.tensor([[1.0, 1.0, -torch.inf]], dtype=torch.float64, requires_grad=True)
    loss = row_divergence(scores, other)
    loss.backward()
    assert loss.item() == pytest.approx(divergence(np.array([[0.0, 1.0]]), np.array([[1.0, 1.0]])))
    assert other.grad.isfinite().all()
    made, (student, teacher) = method(), pair()
    teacher.last.zero_()
    assert all(term.isfinite() for term in made(draw_batch(), student, teacher).values())


def test_a_large_map_of_the_teacher_is_averaged_to_the_grid():
    made = method(grid=2)
    assert made.reads().regions == {("last", 2)}
    assert method().reads().regions == {("last", 5)}
