"""A picture becomes exactly the tile one expects, or a reason; nothing damaged or huge gets through or stops it."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from hviskd.tiles.decoding import LeftOut, picture_size, read_tile
from tests.tiles.samples import noise


def save(tmp_path, image, name="a.png", **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


def whole(path, side):
    return read_tile(path, size=(side, side), square=(0, 0, side), tile_px=side)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_lossless_pictures_keep_every_pixel(tmp_path, name):
    options = {"lossless": True} if name.endswith("webp") else {}
    path = save(tmp_path, Image.fromarray(noise(1, 16)), name, **options)
    assert picture_size(path) == (16, 16)
    assert (whole(path, 16) == noise(1, 16)).all()


def test_a_square_is_cut_where_it_was_asked(tmp_path):
    path = save(tmp_path, Image.fromarray(noise(1, 20, height=12)))
    tile = read_tile(path, size=(20, 12), square=(6, 2, 8), tile_px=8)
    assert (tile == noise(1, 20, height=12)[2:10, 6:14]).all()


def test_shrinking_averages_instead_of_picking(tmp_path):
    """A one-pixel checkerboard becomes grey; without antialiasing it would stay black or white."""
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    path = save(tmp_path, Image.fromarray(np.repeat(board[..., None], 3, axis=2).astype(np.uint8)))
    tile = read_tile(path, size=(64, 64), square=(0, 0, 64), tile_px=16)
    assert tile.shape == (16, 16, 3)
    assert np.abs(tile[2:-2, 2:-2].astype(float) - 127.5).max() < 3


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "RGBA", "LA", "YCbCr"])
def test_every_common_mode_becomes_the_same_colours(tmp_path, mode):
    grey = np.full((8, 8, 3), 255, np.uint8)
    grey[:, :4] = 0
    name = "a.tif" if mode in ("CMYK", "YCbCr") else "a.png"
    tile = whole(save(tmp_path, Image.fromarray(grey).convert(mode), name), 8)
    assert tile.dtype == np.uint8
    assert np.abs(tile.astype(int) - grey).max() <= 1


def test_transparent_pixels_become_white(tmp_path):
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[:4] = (200, 10, 10, 255)
    tile = whole(save(tmp_path, Image.fromarray(rgba, "RGBA")), 8)
    assert (tile[:4] == (200, 10, 10)).all()
    assert (tile[4:] == 255).all()


def test_16_bit_pictures_are_left_out_and_not_cut_down(tmp_path):
    path = save(tmp_path, Image.fromarray(np.full((8, 8), 40_000, np.uint16)))
    assert picture_size(path) == LeftOut("more than 8 bits per channel")
    (tmp_path / "colour.png").write_bytes(png(8, 8, depth=16, rows=b"\x00" + bytes(48)))
    assert picture_size(tmp_path / "colour.png") == LeftOut("more than 8 bits per channel")


def png(width, height, *, depth=8, rows=b""):
    """A PNG written by hand, so that it may claim any size."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    data = zlib.compress(rows * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_001, 20_000, 2**31 - 1])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path, side):
    (tmp_path / "bomb.png").write_bytes(png(side, side))
    found = picture_size(tmp_path / "bomb.png")
    assert isinstance(found, LeftOut)
    assert found.reason == "too large"


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", b"GIF89a" + bytes(100), b"<svg/>", bytes(1000)])
def test_what_is_no_picture_is_damaged(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    found = picture_size(tmp_path / "a.jpg")
    assert isinstance(found, LeftOut)
    assert found.reason == "damaged"
    assert str(tmp_path) not in found.detail


def test_a_truncated_picture_is_damaged(tmp_path):
    path = save(tmp_path, Image.fromarray(noise(1, 64)), "a.jpg")
    path.write_bytes(path.read_bytes()[:-500])
    assert picture_size(path) == (64, 64)
    found = whole(path, 64)
    assert isinstance(found, LeftOut)
    assert found.reason == "damaged"


def test_a_picture_that_changed_meanwhile_is_left_out(tmp_path):
    path = save(tmp_path, Image.fromarray(noise(1, 16)))
    assert isinstance(read_tile(path, size=(32, 32), square=(0, 0, 32), tile_px=32), LeftOut)


def test_a_vanished_picture_is_left_out(tmp_path):
    assert isinstance(picture_size(tmp_path / "gone.png"), LeftOut)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_no_damage_raises(tmp_path, kind):
    """Four hundred pictures with bytes changed or cut off give a tile or a reason, never an exception."""
    stream = io.BytesIO()
    Image.fromarray(noise(3, 24)).save(stream, kind)
    dice, path = random.Random(kind), tmp_path / "a.bin"
    outcomes = set()
    for _ in range(400):
        content = bytearray(stream.getvalue())
        for _ in range(dice.randint(1, 5)):
            content[dice.randrange(min(len(content), dice.choice((60, 10_000))))] = dice.choice((0, 1, 127, 255))
        path.write_bytes(content[: dice.choice((len(content), dice.randrange(len(content))))])
        size = picture_size(path)
        if isinstance(size, LeftOut) or size[0] * size[1] > 10_000:
            outcomes.add(LeftOut)
        else:
            outcomes.add(type(read_tile(path, size=size, square=(0, 0, min(size)), tile_px=4)))
    assert LeftOut in outcomes
    assert outcomes <= {LeftOut, np.ndarray}
