"""Batches of tiles on the training device: shuffled by seed and epoch, split among processes, read ahead."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hviskd.arrays import NO_LABEL, Ints
from hviskd.threads import in_threads
from hviskd.tiles import TileSet

_RESIDENT_SHARE = 0.4  # of a GPU's free memory that a split's tiles may take


@dataclass(frozen=True)
class TileBatch:
    """One batch on the device.

    Attributes:
        tiles: uint8 (B, H, W, 3).
        labels: int64 (B,).
        index: int64 (B,), positions in the split.
    """

    tiles: Tensor
    labels: Tensor
    index: Tensor


class TileBatches:
    """The batches of one split, or of some rows whose labels are not read, for process `rank` of `world`.

    With `balanced`, shuffled epochs have equally many tiles of every class.

    On a GPU whose free memory holds the split several times over, the tiles stay there; otherwise each batch is
    read from the memory-mapped file by a thread while the one before it is computed.
    """

    def __init__(
        self,
        tileset: TileSet,
        split: str | Ints,
        batch_size: int,
        device: torch.device,
        *,
        balanced: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.rows = tileset.rows(split) if isinstance(split, str) else split
        labels = tileset.labels[self.rows] if isinstance(split, str) else np.full(len(self.rows), NO_LABEL)
        self.labels = torch.from_numpy(labels)
        self.batch_size = batch_size
        self._balanced = balanced
        self._pixels = tileset.pixels
        self._device = device
        self._rank, self._world = rank, world
        self._resident = self._on_device() if self._fits() else None

    def __len__(self) -> int:
        """Return the number of complete batches."""
        return len(self.rows) // self.batch_size

    def shuffled(self, seed: int, batches: int | None = None) -> Iterator[TileBatch]:
        """Yield an epoch of complete batches, in an order that depends only on the seed and the epoch.

        An epoch has every tile once, but for a last, incomplete batch; or, in shuffled rounds, the number of `batches`
        that was asked for.
        """
        generator = torch.Generator().manual_seed(seed)
        wanted = len(self) if batches is None else batches
        count = wanted * self.batch_size
        if batches is not None and not self._balanced:
            order = balanced_order(torch.zeros_like(self.labels), count, generator)
        elif self._balanced:
            order = balanced_order(self.labels, count, generator)
        else:
            order = _shuffled(len(self.rows), generator)[:count]
        complete = order.view(wanted, self.batch_size)
        return self._read([batch[self._rank :: self._world] for batch in complete])

    def in_order(self) -> Iterator[TileBatch]:
        """Yield this process's part of the split once, including an incomplete last batch."""
        mine = torch.arange(self._rank, len(self.rows), self._world)
        return self._read(list(mine.split(max(1, self.batch_size // self._world))) if len(mine) else [])

    def _read(self, batches: list[Tensor]) -> Iterator[TileBatch]:
        if self._resident is not None:
            for index in batches:
                where = index.to(self._device)
                yield TileBatch(self._resident[where], self.labels[index].to(self._device), where)
            return
        for parts in in_threads(self._load, batches, threads=1, ahead=2):
            yield self._to_device(parts)

    def _load(self, index: Tensor) -> tuple[Tensor, ...]:
        tiles = torch.from_numpy(self._pixels[self.rows[index.numpy()]])
        parts = tiles, self.labels[index], index
        return parts if self._device.type != "cuda" else tuple(part.pin_memory() for part in parts)

    def _to_device(self, parts: tuple[Tensor, ...]) -> TileBatch:
        return TileBatch(*(part.to(self._device, non_blocking=True) for part in parts))

    def _fits(self) -> bool:
        if self._device.type != "cuda" or not len(self.rows):
            return False
        free, _ = torch.cuda.mem_get_info(self._device)
        return len(self.rows) * self._pixels[0].nbytes < _RESIDENT_SHARE * free

    def _on_device(self) -> Tensor:
        resident = torch.empty((len(self.rows), *self._pixels.shape[1:]), dtype=torch.uint8, device=self._device)
        for start in range(0, len(self.rows), 4096):
            chunk = self._pixels[self.rows[start : start + 4096]]
            resident[start : start + len(chunk)] = torch.from_numpy(chunk).to(self._device)
        return resident


def balanced_order(labels: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw positions with equally many of every class, in random order.

    The positions of a class come in shuffled rounds, so within a class none is drawn more than once more than another.

    Args:
        labels: (N,) int64; classes without any are left out.
        count: How many to draw. The numbers of two classes differ by 1 at most.
        generator: On the CPU.

    Returns:
        (count,) int64.
    """
    classes = labels.unique()
    lucky = set(_shuffled(len(classes), generator)[: count % len(classes)].tolist())
    drawn = []
    for place, label in enumerate(classes.tolist()):
        mine = (labels == label).nonzero().squeeze(1)
        wanted = count // len(classes) + (place in lucky)
        rounds = [mine[_shuffled(len(mine), generator)] for _ in range(-(-wanted // len(mine)))]
        drawn.append(torch.cat([*rounds, mine[:0]])[:wanted])
    return torch.cat(drawn)[_shuffled(count, generator)]


def _shuffled(count: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(count, generator=generator)
