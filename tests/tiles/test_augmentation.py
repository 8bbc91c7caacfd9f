"""What augmentation may do to a tile it does equally often, tile by tile, and the generator decides."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from hviskd.tiles.augmentation import SYMMETRIES, augment, draw_variation, shift_and_flip, turn, turn_and_flip, vary
from hviskd.tiles.jitter import stain_jitter


def symmetries(tile):
    return [np.rot90(side, quarter) for side in (tile, np.flipud(tile)) for quarter in range(4)]


def test_all_eight_symmetries_are_equally_likely():
    tile = np.arange(3 * 3 * 2, dtype=np.uint8).reshape(3, 3, 2)
    turned = turn_and_flip(torch.from_numpy(tile).expand(8000, -1, -1, -1), torch.Generator().manual_seed(0)).numpy()
    counts = [int((turned == expected).all(axis=(1, 2, 3)).sum()) for expected in symmetries(tile)]
    assert sum(counts) == 8000
    assert chisquare(counts).pvalue > 1e-3


@pytest.mark.slow
def test_all_places_of_the_crop_are_equally_likely_mirrored_or_not():
    tile = np.arange(1, 6 * 5 * 2 + 1, dtype=np.int16).reshape(6, 5, 2)
    padded = np.pad(tile, ((4, 4), (4, 4), (0, 0)))
    crops = [padded[top : top + 6, left : left + 5] for top in range(9) for left in range(9)]
    expected = [side for crop in crops for side in (crop, crop[:, ::-1])]
    generator = torch.Generator().manual_seed(0)
    shifted = shift_and_flip(torch.from_numpy(tile).expand(16200, -1, -1, -1), generator).numpy()
    counts = [int((shifted == crop).all(axis=(1, 2, 3)).sum()) for crop in expected]
    assert sum(counts) == 16200
    assert chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("way", [turn_and_flip, shift_and_flip])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bool])
def test_kind_and_shape_stay_and_the_input_is_untouched(way, dtype):
    images = torch.randint(2, (5, 6, 6, 3), generator=torch.Generator().manual_seed(1)).to(dtype)
    before = images.clone()
    turned = way(images, torch.Generator().manual_seed(0))
    assert turned.dtype == dtype
    assert turned.shape == images.shape
    assert torch.equal(images, before)


@pytest.mark.parametrize("way", [turn_and_flip, shift_and_flip])
def test_the_generator_alone_decides(way):
    images = torch.arange(10 * 48).view(10, 4, 4, 3)
    first, again = (way(images, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, way(images, torch.Generator().manual_seed(8)))


@pytest.mark.parametrize("way", [turn_and_flip, shift_and_flip])
def test_no_tiles_are_no_trouble(way):
    assert way(torch.zeros(0, 4, 4, 3), torch.Generator()).shape == (0, 4, 4, 3)


def test_the_stains_vary_before_the_black_border_flows_in():
    images = torch.randint(40, 250, (20, 16, 16, 3), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    one, other = (torch.Generator().manual_seed(3) for _ in range(2))
    both = augment(images, one, "shift_and_flip", 0.3)
    assert torch.equal(both, shift_and_flip(stain_jitter(images, other, 0.3), other))
    assert (both == 0).all(dim=-1).any()


def test_nothing_wanted_leaves_tiles_and_generator_alone():
    images = torch.zeros(3, 8, 8, 3, dtype=torch.uint8)
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    assert torch.equal(augment(images, generator, "none", 0.0), images)
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("shape", [(2, 4, 5, 3), (4, 4, 3)])
def test_what_is_not_square_is_refused(shape):
    with pytest.raises(ValueError, match="H = W"):
        turn_and_flip(torch.zeros(shape), torch.Generator())


def test_a_shift_takes_batches_alone():
    with pytest.raises(ValueError, match="B, H, W, C"):
        shift_and_flip(torch.zeros(4, 4, 3), torch.Generator())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
@pytest.mark.parametrize("way", [turn_and_flip, shift_and_flip])
@pytest.mark.parametrize("generator_device", ["cpu", "cuda"])
def test_tiles_on_a_gpu_stay_there(way, generator_device):
    generator = torch.Generator(generator_device).manual_seed(0)
    assert way(torch.zeros(4, 8, 8, 3, device="cuda"), generator).is_cuda


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
def test_a_gpu_augments_as_a_cpu_does():
    images = torch.randint(256, (8, 16, 16, 3), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    one, other = (torch.Generator().manual_seed(3) for _ in range(2))
    here = augment(images, one, "shift_and_flip", 0.3).int()
    there = augment(images.cuda(), other, "shift_and_flip", 0.3).cpu().int()
    assert (here - there).abs().max() <= 1


@pytest.mark.parametrize(("augmentation", "strength"), [("turn_and_flip", 0.2), ("shift_and_flip", 0.0), ("none", 0.1)])
def test_a_variation_can_be_kept_and_repeated_for_any_of_its_tiles(augmentation, strength):
    images = torch.randint(40, 250, (9, 12, 12, 3), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    once, again = (torch.Generator().manual_seed(5) for _ in range(2))
    varied = augment(images, once, augmentation, strength)
    kept = draw_variation(9, again, augmentation, strength)
    assert torch.equal(vary(images, kept), varied)
    some = torch.tensor([7, 2, 2])
    assert torch.equal(vary(images[some], kept[some]), varied[some])
    assert torch.equal(once.get_state(), again.get_state())


def test_every_symmetry_has_its_number():
    tile = torch.arange(27).view(1, 3, 3, 3)
    turned = {tuple(turn(tile, torch.tensor([number])).flatten().tolist()) for number in range(SYMMETRIES)}
    assert len(turned) == SYMMETRIES
    assert torch.equal(turn(tile, torch.tensor([5])), tile.transpose(1, 2).flip(1))
    assert torch.equal(turn(tile, torch.tensor([2])), tile.flip(2))
