"""Turning and flipping gives each of a square's eight symmetries equally often, tile by tile."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from hviskd.tiles.augmentation import turn_and_flip


def symmetries(tile):
    return [np.rot90(side, quarter) for side in (tile, np.flipud(tile)) for quarter in range(4)]


def test_all_eight_symmetries_are_equally_likely():
    tile = np.arange(3 * 3 * 2, dtype=np.uint8).reshape(3, 3, 2)
    turned = turn_and_flip(torch.from_numpy(tile).expand(8000, -1, -1, -1), torch.Generator().manual_seed(0)).numpy()
    counts = [int((turned == expected).all(axis=(1, 2, 3)).sum()) for expected in symmetries(tile)]
    assert sum(counts) == 8000
    assert chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bool])
def test_kind_and_shape_stay_and_the_input_is_untouched(dtype):
    images = torch.randint(2, (5, 6, 6, 3), generator=torch.Generator().manual_seed(1)).to(dtype)
    before = images.clone()
    turned = turn_and_flip(images, torch.Generator().manual_seed(0))
    assert turned.dtype == dtype
    assert turned.shape == images.shape
    assert torch.equal(images, before)


def test_the_generator_alone_decides():
    images = torch.arange(10 * 48).view(10, 4, 4, 3)
    first, again = (turn_and_flip(images, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, turn_and_flip(images, torch.Generator().manual_seed(8)))


def test_no_tiles_are_no_trouble():
    assert turn_and_flip(torch.zeros(0, 4, 4, 3), torch.Generator()).shape == (0, 4, 4, 3)


@pytest.mark.parametrize("shape", [(2, 4, 5, 3), (4, 4, 3)])
def test_what_is_not_square_is_refused(shape):
    with pytest.raises(ValueError, match="H = W"):
        turn_and_flip(torch.zeros(shape), torch.Generator())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
@pytest.mark.parametrize("generator_device", ["cpu", "cuda"])
def test_tiles_on_a_gpu_stay_there(generator_device):
    generator = torch.Generator(generator_device).manual_seed(0)
    assert turn_and_flip(torch.zeros(4, 8, 8, 3, device="cuda"), generator).is_cuda
