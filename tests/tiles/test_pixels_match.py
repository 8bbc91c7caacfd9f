"""Pixels of another tile set, or in another order, are noticed on opening."""

import shutil

import numpy as np
import pytest

from hviskd.errors import DataError
from hviskd.tiles import TileSet
from tests.conftest import write_tiles


def test_another_set_s_pixels_are_noticed(tmp_path):
    write_tiles(tmp_path / "a", seed=1)
    write_tiles(tmp_path / "b", seed=2)
    shutil.copy(tmp_path / "a" / "pixels.npy", tmp_path / "b" / "pixels.npy")
    with pytest.raises(DataError, match="does not match tiles.parquet"):
        TileSet.open(tmp_path / "b")


def test_one_exchanged_picture_is_found_by_the_full_check(tmp_path):
    tiles = write_tiles(tmp_path / "a")
    tiles.check_pixels()
    pixels = np.load(tmp_path / "a" / "pixels.npy", mmap_mode="r+")
    pixels[1] = 255 - pixels[1]
    pixels.flush()
    with pytest.raises(DataError, match="tile 1 does not match"):
        TileSet.open(tmp_path / "a").check_pixels()
