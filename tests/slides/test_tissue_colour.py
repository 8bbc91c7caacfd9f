"""Thresholds and the sizes of parts."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from hviskd.slides.tissue_colour import (
    DENSITY_BOUNDS,
    SATURATION_BOUNDS,
    drop_small,
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
]


@pytest.mark.parametrize("folder", present(FOLDERS), ids=str)
def test_tissue_is_no_ink(folder):
    """A mosaic of tiles at low power; blue nuclei and red blood are in it."""
    files = sorted(folder.iterdir())
    files = files[::3][:49] if len(files) > 49 else files[:7]
    tiles = [np.asarray(Image.open(file).convert("RGB").resize((14, 14), Image.Resampling.BOX)) for file in files]
    rows = [np.concatenate(tiles[start : start + 7], axis=1) for start in range(0, len(tiles) // 7 * 7, 7)]
    mosaic = np.concatenate(rows)
    assert ndimage.label(find_ink(smoothed(optical_density(mosaic), 8.0), 8.0))[1] == 0
