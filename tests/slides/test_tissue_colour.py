"""Thresholds and the sizes of parts."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from hviskd.slides.tissue_colour import drop_small, find_ink, optical_density, otsu, smoothed
from tests.data import DATA, REAL, present

OPEN = (-np.inf, np.inf)


def test_otsu_minimises_the_spread_within_the_groups():
    """Otsu's other definition, tried out threshold by threshold."""
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(0.1, 0.05, 3000), rng.normal(0.6, 0.1, 1000)]).astype(np.float32)
    tried = np.linspace(values.min(), values.max(), 257)[1:-1]
    within = [
        (values <= t).sum() * values[values <= t].var() + (values > t).sum() * values[values > t].var() for t in tried
    ]
    threshold = otsu(values, OPEN)
    assert threshold == pytest.approx(float(tried[int(np.argmin(within))]), abs=2 * float(tried[1] - tried[0]))
    assert otsu(values, (0.5, 0.7)) == 0.5


def test_otsu_of_one_value_stays_within_its_bounds():
    assert 0.2 <= otsu(np.zeros((5, 5), np.float32), (0.2, 0.3)) <= 0.3


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
