"""The unlabelled tiles of each batch: how many, in which order, and how they join the labelled ones."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat
from typing import NamedTuple

import torch
from torch import Tensor

from hviskd.arrays import NO_LABEL
from hviskd.distillation import METHODS, Batch
from hviskd.errors import RecipeError
from hviskd.tiles import UnlabelledTiles
from hviskd.tiles.augmentation import vary
from hviskd.training.batches import TileBatches
from hviskd.training.recipe import Recipe
from hviskd.training.teaching import Seen
from hviskd.training.varied_views import draw_own, views_of

_OWN_SEED = 500_009  # apart from those of order and augmentation of the labelled tiles


def unlabelled_per_batch(recipe: Recipe, processes: int) -> int:
    """Return how many tiles of each batch are unlabelled: a share of it, alike in all processes.

    Raises:
        RecipeError: No method of the recipe learns from tiles without labels, or the batch is too small to be shared.
    """
    if not any(not METHODS[name].reads_labels for name in recipe.methods):
        raise RecipeError(
            f"none of the methods {', '.join(recipe.methods)} learns from tiles without labels; add one, for example "
            "hviskd, or omit `unlabelled`"
        )
    count = round(recipe.unlabelled_share * recipe.batch_size / processes) * processes
    if not 0 < count < recipe.batch_size:
        raise RecipeError(
            f"batch_size {recipe.batch_size} is too small for an unlabelled_share of {recipe.unlabelled_share:g}"
        )
    return count


class UnlabelledPart(NamedTuple):
    """Varied uint8 tiles (B, H, W, 3), and which tiles in which views they are."""

    tiles: Tensor
    seen: Seen


class UnlabelledBatches:
    """The unlabelled parts of an epoch's batches, for process `rank` of `world`."""

    def __init__(
        self, tiles: UnlabelledTiles, count: int, recipe: Recipe, device: torch.device, *, rank: int = 0, world: int = 1
    ) -> None:
        """Draw `count` tiles for each batch, over all processes together."""
        self._batches = TileBatches(tiles.tileset, tiles.rows, count, device, rank=rank, world=world)
        self._views = views_of(recipe, len(tiles.rows))
        self._place = {"rank": rank, "world": world}

    def epoch(self, seed: int, batches: int) -> Iterator[UnlabelledPart]:
        """Yield the unlabelled part of each batch, in an order that depends only on the seed.

        Tiles come in shuffled rounds, so that within an epoch none is drawn more than once more than another.
        """
        generator = torch.Generator().manual_seed(seed + _OWN_SEED)
        for batch in self._batches.shuffled(seed + _OWN_SEED, batches):
            view, variation = draw_own(self._views, batch.index, generator, **self._place)
            yield UnlabelledPart(vary(batch.tiles, variation), (batch.index, view))


def unlabelled_parts(unlabelled: UnlabelledBatches | None, seed: int, batches: int) -> Iterator[UnlabelledPart | None]:
    """Yield the unlabelled part of each batch of an epoch; None for each if there are no such tiles."""
    return repeat(None, batches) if unlabelled is None else unlabelled.epoch(seed, batches)


def with_unlabelled(batch: Batch, images: Tensor) -> Batch:
    """Put unlabelled images (U, 3, H, W) behind those of a batch."""
    none = torch.full((len(images),), NO_LABEL, dtype=torch.int64, device=images.device)
    return replace(
        batch,
        images=torch.cat([batch.images, images]),
        labels=torch.cat([batch.labels, none]),
        index=torch.cat([batch.index, none]),
        labelled=len(batch.images),
    )
