"""Tiles are worsened as stated: each kind against an independent computation, alike for a tile wherever it stands."""

import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageFilter

from hviskd.errors import DataError
from hviskd.tiles.corruptions import CORRUPTIONS, LEVELS, choose_corruptions, corrupt

TILES = np.random.default_rng(5).integers(60, 200, (3, 40, 40, 3)).astype(np.uint8)


def worse(name, level, tiles=TILES, **options):
    return corrupt(tiles, CORRUPTIONS[name], level, numbers=range(len(tiles)), **options)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_level_harms_more_than_the_one_before(name):
    smooth = np.asarray(Image.fromarray(TILES[0]).filter(ImageFilter.GaussianBlur(1)))[None]
    harm = [
        np.abs(worse(name, level, smooth).astype(float) - smooth).mean() for level in range(LEVELS + 1)
    ]  # fmt: skip
    assert harm[0] == 0
    assert all(more > less for less, more in pairwise(harm))
    assert len(CORRUPTIONS[name].strengths) == LEVELS


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_tile_is_worsened_alike_alone_and_among_others(name):
    among = worse(name, 3, seed=7)
    alone = corrupt(TILES[2:], CORRUPTIONS[name], 3, numbers=[2], seed=7)
    assert np.array_equal(among[2], alone[0])
    assert among.dtype == np.uint8
    assert among.shape == TILES.shape


def test_noise_has_the_stated_deviation_and_differs_by_seed():
    grey = np.full((1, 200, 200, 3), 128, np.uint8)
    for level, sd in enumerate((0.02, 0.04, 0.08), start=1):
        noise = worse("noise", level, grey).astype(float) - 128
        assert noise.std() == pytest.approx(255 * sd, rel=0.02)
        assert abs(noise.mean()) < 0.2
    assert not np.array_equal(worse("noise", 2, grey, seed=0), worse("noise", 2, grey, seed=1))


def test_blur_is_a_gaussian_and_focus_a_disc():
    point = np.zeros((1, 41, 41, 3), np.uint8)
    point[0, 20, 20] = 255
    y, x = np.mgrid[-20:21, -20:21]
    sd = CORRUPTIONS["blur"].strengths[3]
    bell = np.exp(-(x**2 + y**2) / (2 * sd**2))
    assert np.abs(worse("blur", 4, point)[0, ..., 0] - 255 * bell / bell.sum()).max() <= 0.6
    disc = worse("focus", 5, point)[0, ..., 0].astype(float)
    radius = CORRUPTIONS["focus"].strengths[4]
    inside = np.hypot(x, y) <= radius - 0.5
    assert np.ptp(disc[inside]) <= 1
    assert disc[np.hypot(x, y) > radius + 0.5].max() == 0
    assert disc[20, 20] == pytest.approx(255 / (np.pi * radius**2), rel=0.15)


def test_jpeg_is_what_pillow_makes_of_it():
    stream = io.BytesIO()
    Image.fromarray(TILES[0]).save(stream, "JPEG", quality=40)
    assert np.array_equal(worse("jpeg", 3)[0], np.asarray(Image.open(stream)))


def test_brightness_multiplies_or_divides():
    grey = np.full((40, 4, 4, 3), 100, np.uint8)
    assert set(np.unique(worse("brightness", 2, grey))) == {120, 83}


def test_stain_shift_leaves_glass_and_scales_density_of_the_stains():
    haematoxylin = np.array([0.65, 0.70, 0.29]) / np.linalg.norm([0.65, 0.70, 0.29])
    colour = np.rint(256 * np.exp(-0.5 * haematoxylin) - 1)
    tiles = np.broadcast_to(colour, (30, 4, 4, 3)).astype(np.uint8).copy()
    tiles[:, 0] = 255
    shifted = worse("stain", 3, tiles)
    assert (shifted[:, 0] == 255).all()
    expected = {tuple(np.rint(256 * np.exp(-0.5 * np.exp(s * 0.3) * haematoxylin) - 1)) for s in (-1, 1)}
    seen = np.unique(shifted[:, 2, 2].reshape(-1, 3), axis=0)
    assert all(min(np.abs(np.subtract(one, each)).max() for each in expected) <= 2 for one in seen)
    assert np.ptp(seen[:, 0]) > 20


def test_names_and_levels_that_are_not_there_are_refused():
    with pytest.raises(DataError, match="choose from noise, blur"):
        choose_corruptions(["fog"])
    with pytest.raises(DataError, match=r"`corruptions='noise'`.*\['noise'\]"):
        choose_corruptions("noise")
    assert choose_corruptions([]) == list(CORRUPTIONS.values())
    with pytest.raises(DataError, match="`level=6`: must be from 0"):
        worse("noise", 6)
