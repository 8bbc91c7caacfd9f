"""Thresholds and the sizes of parts."""

import numpy as np
import pytest
from PIL import Image

from hviskd.mask_shapes import drop_small
from hviskd.slides.tissue_colour import (
    DENSITY_BOUNDS,
    SATURATION_BOUNDS,
    find_ink,
    find_tissue,
    optical_density,
    smoothed,
)
from tests.data import DATA, REAL, present


@pytest.mark.parametrize("levels", [(0.0, 0.0), (0.0, 0.01), (0.5, 1.5)])
def test_thresholds_found_stay_within_their_bounds(levels):
    smooth = np.repeat(np.float32(levels), 50).reshape(10, 10, 1) * np.float32([0.5, 1, 0.6])
    _, found = find_tissue(smooth)
    for threshold, (lowest, highest) in zip(found, (DENSITY_BOUNDS, SATURATION_BOUNDS), strict=True):
        assert lowest <= threshold <= highest


def test_glass_has_no_density():
    image = np.full((20, 20, 3), (240, 234, 238), np.uint8)
    image[:5] = (24, 234, 238)
    density = optical_density(image)
    assert np.allclose(density[:5, :, 0], 1)
    assert np.allclose(density[5:], 0)


def test_parts_that_touch_by_a_corner_are_one():
    mask = np.zeros((8, 8), bool)
    mask[1, 1] = mask[2, 2] = mask[6, 6] = True
    assert drop_small(mask, 2).sum() == 2
    assert not drop_small(np.zeros((3, 3), bool), 1).any()


FOLDERS = [
    DATA / "tiles/GBM",
    DATA / "tiles/LGG",
    *(REAL / folder for folder in ("crc5/train/AC", "brain150/images/GBM", "brain150/images/LGG")),
    *(REAL / folder for folder in ("lung/lung_aca", "lung/lung_n", "lung/lung_scc", "glands/malignant")),
]
HAEMATOXYLIN, EOSIN = (0.65, 0.70, 0.29), (0.07, 0.99, 0.11)  # Ruifrok and Johnston 2001
HUES = (HAEMATOXYLIN, (0.56, 0.72, 0.41), (0.70, 0.64, 0.32), (0.74, 0.60, 0.30))  # to purple, to blue, bluer still
AMOUNTS = ((1.0, 1.0), (0.6, 1.4), (1.6, 0.6), (1.6, 1.4))  # of haematoxylin and eosin
GAINS = ((0.8, 1.0, 1.25), (1.2, 1.0, 0.8), (1.35, 1.0, 1.0))  # of red, green and blue, as scanners differ


def mosaic(folder):
    """Tiles at low power; blue nuclei and red blood are in it."""
    files = sorted(folder.iterdir())
    files = files[::3][:49] if len(files) > 49 else files[:7]
    tiles = [np.asarray(Image.open(file).convert("RGB").resize((14, 14), Image.Resampling.BOX)) for file in files]
    rows = [np.concatenate(tiles[start : start + 7], axis=1) for start in range(0, len(tiles) // 7 * 7, 7)]
    return np.concatenate(rows)


def restained(image):
    """The same tissue under other stains and scanners, each as uint8 and what was changed."""
    density = -np.log10(np.maximum(image, 1) / 240).clip(max=0)
    residual = np.cross(HAEMATOXYLIN, EOSIN)
    amounts = density @ np.linalg.inv(np.array([HAEMATOXYLIN, EOSIN, residual]))
    changes = {(hue, stains): np.array([hue, EOSIN, residual]) for hue in HUES for stains in AMOUNTS}
    densities = {at: (amounts * [*at[1], 1]) @ stains for at, stains in changes.items()}
    densities |= {gain: density * gain for gain in GAINS}
    for at, changed in densities.items():
        yield at, (240 * 10**-changed).clip(0, 255).round().astype(np.uint8)


def ink_of(image):
    return find_ink(smoothed(optical_density(image), 8.0), 8.0)


@pytest.mark.parametrize("folder", present(FOLDERS), ids=str)
def test_tissue_is_no_ink_however_it_is_stained(folder):
    tissue = mosaic(folder)
    assert not ink_of(tissue).any()
    assert not [at for at, changed in restained(tissue) if ink_of(changed).any()]


@pytest.mark.parametrize("colour", [(30, 60, 165), (120, 150, 215), (20, 130, 80), (35, 35, 38), (205, 40, 50)])
def test_ink_is_found_beside_tissue_however_it_is_stained(colour):
    for _, tissue in restained(mosaic(DATA / "tiles/GBM")):
        image = np.pad(tissue, ((0, 60), (0, 0), (0, 0)), constant_values=240)
        image[-45:-10, 10:70] = colour
        found = ink_of(image)
        assert found[-42:-13, 13:67].mean() > 0.95
        assert not found[:-60].any()
