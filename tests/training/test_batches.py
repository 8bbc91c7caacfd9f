"""Batches: every tile once, in an order that only the seed decides, shared evenly, the right pixels and labels."""

import numpy as np
import pytest
import torch

from hviskd.training.batches import TileBatches, balanced_order

CPU = torch.device("cpu")


def test_an_epoch_is_every_tile_at_most_once_and_the_incomplete_batch_left_out(tileset):
    batches = TileBatches(tileset, "train", 32, CPU)
    index = [batch.index for batch in batches.shuffled(3)]
    assert len(index) == len(batches) == 72 // 32
    seen = torch.cat(index)
    assert len(seen.unique()) == len(seen) == 64


def test_the_seed_decides_the_order(tileset):
    orders = [
        torch.cat([batch.index for batch in TileBatches(tileset, "train", 16, CPU).shuffled(seed)])
        for seed in (1, 1, 2)
    ]
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])


def test_pixels_and_labels_belong_together(tileset):
    rows = tileset.rows("val")
    for batch in TileBatches(tileset, "val", 10, CPU).shuffled(0):
        np.testing.assert_array_equal(batch.tiles, tileset.pixels[rows[batch.index]])
        np.testing.assert_array_equal(batch.labels, tileset.labels[rows[batch.index]])


@pytest.mark.parametrize("world", [1, 2])
def test_processes_share_each_batch_and_the_split(tileset, world):
    parts = [TileBatches(tileset, "train", 32, CPU, rank=rank, world=world) for rank in range(world)]
    alone = TileBatches(tileset, "train", 32, CPU)
    for together, *shares in zip(alone.shuffled(5), *(part.shuffled(5) for part in parts), strict=True):
        joined = torch.cat([share.index for share in shares])
        assert len(joined) == 32
        assert torch.equal(joined.sort().values, together.index.sort().values)
    in_order = torch.cat([batch.index for part in parts for batch in part.in_order()])
    assert torch.equal(in_order.sort().values, torch.arange(72))


def test_an_empty_split_gives_no_batch(tmp_path):
    from tests.conftest import write_tiles

    unsplit = write_tiles(tmp_path / "tiles", patients=5, tiles_per_class=1, splits=False)
    assert list(TileBatches(unsplit, "val", 8, CPU).in_order()) == []


def test_a_balanced_order_has_equally_many_of_every_class_and_repeats_none_needlessly():
    labels = torch.tensor([0] * 90 + [2] * 7 + [3] * 3)  # there is no tile of class 1
    drawn = balanced_order(labels, 95, torch.Generator().manual_seed(0))
    counts = torch.bincount(labels[drawn], minlength=4)
    assert sorted(counts.tolist()) == [0, 31, 32, 32]
    assert len(drawn) == 95
    times = torch.bincount(drawn, minlength=100)
    for label in (0, 2, 3):
        of_class = times[labels == label]
        assert of_class.max() - of_class.min() <= 1
    assert torch.equal(drawn, balanced_order(labels, 95, torch.Generator().manual_seed(0)))
    assert not torch.equal(labels[drawn], labels[drawn].sort().values)


@pytest.mark.parametrize("world", [1, 2])
def test_balanced_epochs_are_as_long_as_others(tileset, world):
    parts = [TileBatches(tileset, "train", 32, CPU, balanced=True, rank=rank, world=world) for rank in range(world)]
    index = torch.cat([batch.index for part in parts for batch in part.shuffled(1)])
    assert len(index) == 64
    counts = torch.bincount(parts[0].labels[index])
    assert counts.max() - counts.min() <= 1
    in_order = torch.cat([batch.index for part in parts for batch in part.in_order()])
    assert torch.equal(in_order.sort().values, torch.arange(72))
