"""Lab against known colours."""

import numpy as np
import pytest

from hviskd.slides.lab import levels_of, linear_levels, rgb_to_lab

# Under D65, as published for the primaries of sRGB (Lindbloom's calculator).
KNOWN = {
    (255, 255, 255): (100.0, 0.0, 0.0),
    (0, 0, 0): (0.0, 0.0, 0.0),
    (255, 0, 0): (53.24, 80.09, 67.20),
    (0, 255, 0): (87.73, -86.18, 83.18),
    (0, 0, 255): (32.30, 79.19, -107.86),
    (119, 119, 119): (50.03, 0.0, 0.0),
}


@pytest.mark.parametrize("rgb", KNOWN)
def test_known_colours(rgb):
    assert np.allclose(rgb_to_lab(np.array([rgb], np.uint8)), KNOWN[rgb], atol=0.05)


def test_levels_come_back_from_light():
    assert np.allclose(levels_of(linear_levels()), np.arange(256), atol=1e-3)
