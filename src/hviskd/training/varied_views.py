"""The ways in which a training varies its tiles, numbered where there are few enough to store a teacher's answers."""

from typing import Any, Protocol

import torch
from torch import Tensor

from hviskd.tiles.augmentation import SYMMETRIES, Augmentation, Variation, draw_variation, joined
from hviskd.training.recipe import Recipe

_FIRST_SEED, _STEP = 104_729, 7_919  # of stored views; not those of any epoch


class Views(Protocol):
    """Draws how the tiles of a batch are varied."""

    @property
    def count(self) -> int | None:
        """Number of views; None if they have no numbers."""

    def draw(self, index: Tensor, generator: torch.Generator) -> tuple[Tensor | None, Variation]:
        """Draw a view of each tile (B,) of the split: its number (B,), if views have one, and what it is."""

    def at(self, view: Tensor, index: Tensor) -> Variation:
        """Return the views of these numbers (B,) of the tiles (B,) of the split."""


def views_of(recipe: Recipe, tiles: int) -> Views:
    """Return the views that a recipe draws from, for a training split of so many tiles."""
    varied = recipe.augmentation == "shift_and_flip" or recipe.stain_jitter > 0
    if not varied:
        return _AllViews(recipe.augmentation)
    if recipe.cache_views:
        return _SomeViews(recipe, tiles)
    return _FreshViews(recipe)


def draw_own(
    views: Views, index: Tensor, generator: torch.Generator, *, rank: int = 0, world: int = 1
) -> tuple[Tensor | None, Variation]:
    """Draw as `Views.draw` for the tiles (B,) of process `rank` of `world`: what one process alone would draw for them.

    Tile i of this process is tile i · `world` + `rank` of the joint batch, for which all processes draw the same.
    """
    own = torch.arange(rank, len(index) * world, world)
    view, variation = views.draw(index.repeat_interleave(world), generator)
    return None if view is None else view[own], variation[own]


def told_views(recipe: Recipe) -> dict[str, Any]:
    """Return what numbered views depend on, for the card of what is stored of them."""
    return {"augmentation": recipe.augmentation, "stain_jitter": recipe.stain_jitter}


class _AllViews:
    """All views that there are: the eight of `turn_and_flip`, or the tile as it is."""

    def __init__(self, augmentation: Augmentation) -> None:
        self._augmentation: Augmentation = augmentation
        self.count: int = SYMMETRIES if augmentation == "turn_and_flip" else 1

    def draw(self, index: Tensor, generator: torch.Generator) -> tuple[Tensor | None, Variation]:
        variation = draw_variation(len(index), generator, self._augmentation, 0.0)
        return torch.zeros(len(index), dtype=torch.int64) if variation.turns is None else variation.turns, variation

    def at(self, view: Tensor, index: Tensor) -> Variation:
        return Variation(turns=view if self._augmentation == "turn_and_flip" else None)


class _SomeViews:
    """A few views of each tile, drawn before the training by seeds of their own."""

    def __init__(self, recipe: Recipe, tiles: int) -> None:
        self.count: int = recipe.cache_views
        self._tiles = tiles
        drawn = []
        for view in range(recipe.cache_views):
            generator = torch.Generator().manual_seed(_FIRST_SEED + _STEP * view)
            drawn.append(draw_variation(tiles, generator, recipe.augmentation, recipe.stain_jitter))
        self._views = joined(drawn)  # of all tiles in view 0, then of all in view 1, …

    def draw(self, index: Tensor, generator: torch.Generator) -> tuple[Tensor | None, Variation]:
        view = torch.randint(self.count, (len(index),), generator=generator)
        return view, self.at(view, index)

    def at(self, view: Tensor, index: Tensor) -> Variation:
        return self._views[view * self._tiles + index.cpu()]


class _FreshViews:
    """A new view each time."""

    count: int | None = None

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe

    def draw(self, index: Tensor, generator: torch.Generator) -> tuple[Tensor | None, Variation]:
        return None, draw_variation(len(index), generator, self._recipe.augmentation, self._recipe.stain_jitter)

    def at(self, view: Tensor, index: Tensor) -> Variation:
        raise LookupError("these views have no number")
