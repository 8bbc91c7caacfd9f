"""The store of large masks against the plain image."""

import numpy as np
import pytest

from hviskd.annotations import label_blocks
from hviskd.annotations.label_blocks import BLOCK_PX, LabelBlocks


def drawn(height, width, *, noise=False):
    image = np.zeros((height, width), np.uint8)
    image[height // 3 :, width // 2 :] = 7
    image[height // 2 : height // 2 + 5] = 255
    return np.random.default_rng(0).integers(0, 250, (height, width)).astype(np.uint8) if noise else image


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (255, 257), (600, 1000), (256, 512)])
@pytest.mark.parametrize("piece", [(100, 10_000), (1, 10_000), (240, 240), (256, 256), (10_000, 10_000)])
def test_any_order_of_pieces_gives_the_image(size, piece, noise):
    image = drawn(*size, noise=noise)
    blocks = LabelBlocks(size)
    for row in range(0, size[0], piece[0]):
        for column in range(0, size[1], piece[1]):
            blocks.put(row, column, image[row : row + piece[0], column : column + piece[1]])
    whole = blocks.at(np.arange(size[0]), np.arange(size[1]))
    np.testing.assert_array_equal(whole, image)
    rows, columns = (np.sort(np.random.default_rng(1).integers(0, side, 300)) for side in size)
    np.testing.assert_array_equal(blocks.at(rows, columns), image[np.ix_(rows, columns)])
    assert not blocks._bands


def test_regions_take_little_room():
    image = drawn(4096, 4096)
    blocks = LabelBlocks(image.shape)
    blocks.put(0, 0, image)
    assert blocks._packed_bytes < image.size / 100
    assert len(blocks._packed) <= 3 * (4096 // BLOCK_PX)


def test_pieces_that_would_all_have_to_be_held_are_refused(monkeypatch):
    monkeypatch.setattr(label_blocks, "UNFINISHED_LIMIT_BYTES", 300_000)
    blocks = LabelBlocks((2000, 500))
    with pytest.raises(ValueError, match="tiles are too tall"):
        blocks.put(0, 0, np.zeros((2000, 10), np.uint8))


def test_noise_that_would_fill_the_memory_is_refused(monkeypatch):
    monkeypatch.setattr(label_blocks, "PACKED_LIMIT_BYTES", 300_000)
    with pytest.raises(ValueError, match="from pixel to pixel"):
        LabelBlocks((2000, 500)).put(0, 0, drawn(2000, 500, noise=True))
