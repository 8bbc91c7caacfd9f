"""Draws and measures maps of some tiles at a time, in this process or on the workers of a cluster, for `attend`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from hviskd.arrays import RGB, Bools, Floats32, Ints
from hviskd.attention.baselines import edge_map, random_map
from hviskd.attention.expert import Outlines
from hviskd.attention.maps import attention_maps
from hviskd.attention.overlap import measure_tile
from hviskd.attention.result import scaled_map
from hviskd.attention.settings import AttentionSettings
from hviskd.errors import HviskdError, RunningError
from hviskd.models import InputStep, Model, load_model, pick_device
from hviskd.progress import Progress, progress_bar
from hviskd.tiles import TileSet

CHANCE, EDGES = "random map", "edges"  # what stands beside the models
Look = Callable[[RGB, Ints], Floats32]  # tiles (B, H, W, 3) and labels (B,) → maps (B, h, w)


@dataclass(frozen=True, eq=False)
class Piece:
    """B tiles: the position of the first among all, their rows in the TileSet, and whose they are."""

    start: int
    rows: Ints
    owners: NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Looked:
    """A piece's maps (B, h, w) by model, and with outlines one row of measurements a tile and map."""

    piece: Piece
    maps: dict[str, Floats32]
    measured: pd.DataFrame | None


@dataclass(frozen=True, eq=False)
class LookingJob:
    """What the maps of all tiles depend on; nothing is written.

    Attributes:
        models: By name; each a Model, or the folder to load it from.
        tiles: The TileSet, or its folder.
        outlines: The expert's, or their folder; None without an expert.
        settings: Of maps and measures.
        device: "auto", "cpu", "cuda" or "mps".
        threads: Of torch; None leaves them as they are.
    """

    models: Mapping[str, Model | Path]
    tiles: TileSet | Path
    outlines: Outlines | Path | None
    settings: AttentionSettings
    device: str
    threads: int | None = None
    output: ClassVar[None] = None
    pieces: ClassVar[str] = "batches of tiles"
    memory_bytes: ClassVar[int] = 2**30

    def for_workers(self) -> Self:
        """Return the job with folders in place of what was read from them, to be sent to other processes."""
        models = {
            name: (model if isinstance(model, Path) else model.folder).absolute() for name, model in self.models.items()
        }
        outlines = self.outlines.folder if isinstance(self.outlines, Outlines) else self.outlines
        return replace(
            self,
            models=models,
            tiles=self._tileset.folder.absolute(),
            outlines=None if outlines is None else outlines.absolute(),
        )

    @cached_property
    def _tileset(self) -> TileSet:
        return TileSet.open(self.tiles)

    @cached_property
    def _outlines(self) -> Outlines | None:
        if isinstance(self.outlines, Path):
            return Outlines(self.outlines, self._tileset, self.settings.legend)
        return self.outlines

    @cached_property
    def _looks(self) -> dict[str, Look]:
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        classes = self._tileset.classes
        return {
            name: look_of(load_model(model), classes, self.settings, self.device) for name, model in self.models.items()
        }

    def run(self, items: Sequence[Piece], told: Callable[[Looked], None], progress: Progress | None) -> None:
        """Look at pieces one after the other."""
        title = f"{self.settings.kind} of {', '.join(self.models)}"
        with progress_bar(title, sum(map(self.size, items)), progress) as advance:
            for piece in items:
                told(self._looked(piece))
                advance(len(piece.rows))

    def _looked(self, piece: Piece) -> Looked:
        tileset = self._tileset
        tiles, labels = np.asarray(tileset.pixels[piece.rows]), tileset.labels[piece.rows]
        maps = {name: look(tiles, labels) for name, look in self._looks.items()}
        if self._outlines is None:
            return Looked(piece, maps, None)
        found: list[dict[str, Any]] = []
        for at, (tile, row) in enumerate(zip(tiles, piece.rows.tolist(), strict=True)):
            outline = self._outlines.of(row)
            assert outline is not None  # tiles without one were left out
            own = {name: drawn[at] for name, drawn in maps.items()}
            whose = {"tile": row, "patient": piece.owners[at]}
            measured = _measure(tile, outline, own, self.settings, piece.start + at)
            found += [{"model": name, **whose, **numbers} for name, numbers in measured]
        return Looked(piece, maps, pd.DataFrame(found))

    def size(self, item: Piece) -> int:
        """Return the number of tiles."""
        return len(item.rows)

    def name(self, item: Piece) -> str:
        """Return which tiles these are."""
        return f"tiles {item.start + 1} to {item.start + len(item.rows)}"

    def with_threads(self, threads: int) -> Self:
        """Return the job for a worker that has so many threads."""
        return replace(self, threads=threads)

    def obstacle(self) -> str:
        """Return why this process cannot look at the tiles; nothing if it can."""
        try:
            _ = self._looks, self._outlines
        except (HviskdError, OSError) as error:
            return f"cannot look at the tiles: {error}"
        return ""

    def lost(self, item: Piece, problem: str) -> Looked:
        """Give up: means over some of the tiles would not be those that were asked for.

        Raises:
            RunningError: Always.
        """
        raise RunningError(f"{self.name(item)}: {problem}")


def look_of(model: Model, classes: Sequence[str], settings: AttentionSettings, device: str = "auto") -> Look:
    """Return the function that draws a Model's maps, for labels that are positions in `classes`, all of them its own.

    Raises, when it is called:
        RecipeError: The kind of map does not suit the network.
    """
    where = pick_device(device)
    network, step = model.network.to(where), InputStep(model.card.normalisation).to(where)
    own = torch.tensor([model.card.classes.index(name) for name in classes], device=where)

    def look(tiles: RGB, labels: Ints) -> Floats32:
        images = step(torch.from_numpy(tiles).to(where))
        classes = own[torch.from_numpy(labels).to(where)]
        maps = attention_maps(network, images, classes, kind=settings.kind, stage=settings.stage)
        drawn: Floats32 = maps.cpu().numpy()
        return drawn

    return look


def _measure(
    tile: RGB, outline: Bools, maps: dict[str, Floats32], settings: AttentionSettings, position: int
) -> Iterator[tuple[str, dict[str, float]]]:
    """Measure a tile's maps, and both baselines, against its outline."""
    side = len(tile)
    shown = {name: scaled_map(own, side) for name, own in maps.items()}
    shown[CHANCE] = random_map(side, np.random.default_rng((settings.seed, position)))
    shown[EDGES] = edge_map(tile)
    for name, one in shown.items():
        yield name, measure_tile(one, outline, area_share=settings.area_share, level=settings.level)
