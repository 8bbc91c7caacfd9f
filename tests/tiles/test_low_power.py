"""A tile at low power is the mean of two by two of its px."""

import numpy as np
import pytest

from hviskd.tiles.low_power import at_low_power, has_low_power


def test_each_px_is_the_mean_of_four():
    tiles = np.random.default_rng(0).integers(0, 256, (3, 10, 6, 3), dtype=np.uint8)
    small = at_low_power(tiles)
    expected = tiles.astype(float).reshape(3, 5, 2, 3, 2, 3).mean(axis=(2, 4))
    assert small.dtype == np.uint8
    assert np.abs(small - expected).max() <= 0.5
    assert small.flags.writeable
    assert at_low_power(tiles[:0]).shape == (0, 5, 3, 3)


@pytest.mark.parametrize(("tile_px", "expected"), [(150, True), (64, True), (75, False), (62, False)])
def test_half_of_it_is_whole_and_large_enough_for_a_network(tile_px, expected):
    assert has_low_power(tile_px) is expected
