"""Stain augmentation."""

import numpy as np
import pytest
import torch

from hviskd.tiles.jitter import stain_jitter
from tests.slides.make import stained


def batch(count: int = 4, shape=(40, 30)) -> torch.Tensor:
    return torch.from_numpy(np.stack([stained(shape, 0.8, 0.6, seed) for seed in range(count)]))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_at_strength_nought_nothing_changes():
    colours = torch.arange(256, dtype=torch.uint8)
    images = torch.cartesian_prod(colours[::3], colours[::3], colours[::3]).reshape(1, 86, -1, 3)
    assert torch.equal(stain_jitter(images, seeded(), 0.0), images)


def test_it_scales_the_two_stains_and_nothing_else():
    """The same by NumPy's least squares, tile by tile, with the factors found instead of known."""
    stains = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    rest = np.cross(*stains)
    basis = np.stack([*stains, rest / np.linalg.norm(rest)])
    images = batch()
    changed = stain_jitter(images, seeded(), 0.4)
    assert (changed.shape, changed.dtype) == (images.shape, torch.uint8)
    for before, after in zip(images.numpy(), changed.numpy(), strict=True):
        amounts = [
            np.linalg.lstsq(basis.T, -np.log((image.reshape(-1, 3) + 1.0) / 256).T, rcond=None)[0]
            for image in (before, after)
        ]
        factors = [(old * new).sum() / (old * old).sum() for old, new in zip(*amounts, strict=True)]
        assert all(np.exp(-0.4) <= factor <= np.exp(0.4) for factor in factors[:2])
        assert factors[2] == pytest.approx(1, abs=0.05)
        expected = 256 * np.exp(-(amounts[0] * np.array([*factors[:2], 1.0])[:, None]).T @ basis) - 1
        assert np.abs(expected.clip(0, 255).reshape(before.shape) - after).max() < 3


def test_every_tile_has_factors_of_its_own():
    images = batch(1).repeat(3, 1, 1, 1)
    changed = stain_jitter(images, seeded(), 0.3)
    assert not torch.equal(changed[0], changed[1])
    assert not torch.equal(changed[1], changed[2])


def test_factors_are_as_likely_below_one_as_above():
    images = torch.full((4000, 1, 1, 3), 128, dtype=torch.uint8)
    brighter = (stain_jitter(images, seeded(), 0.5).float().mean(dim=(1, 2, 3)) > 128).float().mean()
    assert 0.45 < float(brighter) < 0.55


def test_the_generator_decides_all():
    first, again, other = (stain_jitter(batch(), seeded(seed), 0.3) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_white_stays_white():
    white = torch.full((2, 5, 5, 3), 255, dtype=torch.uint8)
    assert torch.equal(stain_jitter(white, seeded(), 0.5), white)


def test_an_empty_batch_and_a_view_are_taken():
    assert stain_jitter(batch()[:0], seeded(), 0.2).shape == (0, 40, 30, 3)
    assert stain_jitter(batch()[:, ::2, ::2], seeded(), 0.2).shape == (4, 20, 15, 3)


def test_what_are_no_images_is_refused():
    for images in (batch().float(), batch()[0], batch().permute(0, 3, 1, 2)):
        with pytest.raises(ValueError, match="need uint8"):
            stain_jitter(images, seeded(), 0.2)
    with pytest.raises(ValueError, match="must not be negative"):
        stain_jitter(batch(), seeded(), -0.1)
