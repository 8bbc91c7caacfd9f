"""Batches: every tile once, in an order that only the seed decides, shared evenly, the right pixels and labels."""

import numpy as np
import pytest
import torch

from hviskd.training.batches import TileBatches

CPU = torch.device("cpu")


def test_an_epoch_is_every_tile_at_most_once_and_the_incomplete_batch_left_out(tileset):
    batches = TileBatches(tileset, "train", 32, CPU)
    index = [batch.index for batch in batches.shuffled(3)]
    assert len(index) == len(batches) == 144 // 32
    seen = torch.cat(index)
    assert len(seen.unique()) == len(seen) == 128


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
    assert torch.equal(in_order.sort().values, torch.arange(144))


def test_an_empty_split_gives_no_batch(tmp_path):
    from tests.conftest import write_tiles

    unsplit = write_tiles(tmp_path / "tiles", patients=5, tiles_per_class=1, splits=False)
    assert list(TileBatches(unsplit, "val", 8, CPU).in_order()) == []
