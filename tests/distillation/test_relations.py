"""The relations against a plain NumPy computation, loop by loop."""

import numpy as np
import pytest
import torch

from hviskd.distillation import region_relation, sample_relation


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def rows(matrix, normalisation="l2"):
    if normalisation == "softmax":
        return np.exp(matrix) / np.exp(matrix).sum(axis=1, keepdims=True)
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def pool(image, side):
    """Adaptive average pooling of one (C, H, W) by its definition."""
    channels, height, width = image.shape
    out = np.empty((channels, side, side))
    for i in range(side):
        for j in range(side):
            top, bottom = i * height // side, -(-(i + 1) * height // side)
            left, right = j * width // side, -(-(j + 1) * width // side)
            out[:, i, j] = image[:, top:bottom, left:right].mean(axis=(1, 2))
    return out


def region_by_hand(image, scale, grid, levels, normalisation="l2"):
    pooled = pool(image, grid)
    relations, aware = [], pooled.copy()
    for n in levels:
        vectors = pool(pooled, n).reshape(len(image), n * n).T
        relation = rows(vectors @ vectors.T, normalisation)
        relations.append(relation)
        mixed = np.zeros_like(vectors)
        for i in range(n * n):
            for j in range(n * n):
                mixed[i] += relation[i, j] * vectors[j]
        for y in range(grid):
            for x in range(grid):
                aware[:, y, x] += scale * mixed[(y * n // grid) * n + x * n // grid]
    return relations, aware


@pytest.mark.parametrize("normalisation", ["l2", "softmax"])
def test_sample_relation_is_the_formula(normalisation):
    features = draw(5, 7, 6, 9)
    relation, aware = sample_relation(features, 0.3, normalisation)
    means = features.numpy().mean(axis=(2, 3))
    expected = rows(means @ means.T, normalisation)
    np.testing.assert_allclose(relation, expected, rtol=1e-12)
    np.testing.assert_allclose(aware, means + 0.3 * expected @ means, rtol=1e-12)


@pytest.mark.parametrize("normalisation", ["l2", "softmax"])
@pytest.mark.parametrize(("height", "width"), [(4, 4), (9, 13), (37, 38), (2, 3)])
def test_region_relation_is_the_formula(height, width, normalisation):
    features = draw(3, 5, height, width)
    relations, aware = region_relation(features, -0.2, normalisation=normalisation)
    for sample in range(3):
        by_hand, aware_by_hand = region_by_hand(features[sample].numpy(), -0.2, 4, (1, 2, 4), normalisation)
        for level, expected in zip(relations, by_hand, strict=True):
            np.testing.assert_allclose(level[sample], expected, rtol=1e-12)
        np.testing.assert_allclose(aware[sample], aware_by_hand, rtol=1e-12)


def test_other_grids_and_levels():
    features = draw(2, 3, 20, 20)
    relations, aware = region_relation(features, 0.5, grid=6, levels=(3, 2))
    by_hand, aware_by_hand = region_by_hand(features[1].numpy(), 0.5, 6, (3, 2))
    assert [tuple(level.shape) for level in relations] == [(2, 9, 9), (2, 4, 4)]
    np.testing.assert_allclose(relations[0][1], by_hand[0], rtol=1e-12)
    np.testing.assert_allclose(aware[1], aware_by_hand, rtol=1e-12)


def test_the_coarsest_level_says_nothing_about_relations():
    relations, _ = region_relation(draw(4, 6, 12, 12), 0.0)
    np.testing.assert_allclose(relations[0], np.ones((4, 1, 1)))


def test_while_the_scale_is_zero_it_does_not_matter_how_levels_are_enlarged():
    features = draw(2, 3, 10, 14)
    _, aware = region_relation(features, 0.0)
    np.testing.assert_array_equal(aware[0], torch.nn.functional.adaptive_avg_pool2d(features, 4)[0])


def test_float32_inside_mixed_precision():
    features = draw(8, 16, 10, 10, dtype=torch.float32)
    expected = sample_relation(features, 0.1), region_relation(features, 0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        relation, aware = sample_relation(features, 0.1)
        relations, region_aware = region_relation(features, 0.1)
    assert relation.dtype == aware.dtype == region_aware.dtype == relations[0].dtype == torch.float32
    torch.testing.assert_close(relation, expected[0][0], rtol=0, atol=0)
    torch.testing.assert_close(region_aware, expected[1][1], rtol=0, atol=0)
    half = features.bfloat16()
    assert sample_relation(half, 0.1)[0].dtype == region_relation(half, 0.1)[1].dtype == torch.float32


def test_an_empty_map_gives_finite_relations_and_gradients():
    features = torch.zeros(3, 4, 8, 8, requires_grad=True)
    relations, aware = region_relation(features, 0.1)
    relation, sample_aware = sample_relation(features, 0.1)
    (sum(level.sum() for level in relations) + aware.sum() + relation.sum() + sample_aware.sum()).backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()
