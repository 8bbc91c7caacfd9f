import numpy as np

from hviskd.attention.baselines import edge_map, random_map


def test_noise_is_smooth_seeded_and_within_bounds():
    first, again, other = (random_map(60, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.dtype == np.float32
    assert (first.min(), first.max()) == (0, 1)
    np.testing.assert_array_equal(first, again)
    assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.6
    assert np.abs(np.diff(first, axis=0)).max() < 0.2


def test_edges_are_found_where_brightness_jumps():
    tile = np.full((50, 50, 3), 230, np.uint8)
    tile[:, 20:] = (120, 60, 150)
    found = edge_map(tile)
    assert found.max() == 1
    assert set(found.argmax(axis=1)) <= {19, 20}
    assert found[:, 40:].max() < 1e-3


def test_a_tile_of_one_colour_has_no_edge():
    assert not edge_map(np.full((40, 40, 3), 200, np.uint8)).any()
