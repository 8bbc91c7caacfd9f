"""The smaller versions of a map's grid, in its files and in the viewer: each half as large as the one before."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hviskd.arrays import NO_CLASS_BYTE

TILE_PX = 256

Pixels = TypeVar("Pixels", NDArray[np.uint8], NDArray[np.uint16])


def pyramid_of(image: Pixels, halve: Callable[[Pixels], Pixels]) -> list[Pixels]:
    """Return an image (…, H, W) and its reductions by half, until one tile holds it."""
    levels = [image]
    while max(levels[-1].shape[-2:]) > TILE_PX:
        levels.append(halve(levels[-1]))
    return levels


def _blocks(image: Pixels, beyond: int) -> Pixels:
    """Return the four px for each px of the next level, (…, h, w, 4); `beyond` outside."""
    *planes, height, width = image.shape
    padding = [(0, 0)] * len(planes) + [(0, height % 2), (0, width % 2)]
    even = np.pad(image, padding, constant_values=beyond)
    return np.stack([even[..., row::2, column::2] for row in (0, 1) for column in (0, 1)], axis=-1)


def halve_classes(classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Halve a class grid: the most frequent class of four px, the first if tied; no tile if all four have none."""
    four = _blocks(classes, NO_CLASS_BYTE)
    votes = np.stack([(four == four[..., place : place + 1]).sum(axis=-1) for place in range(4)], axis=-1)
    votes[four == NO_CLASS_BYTE] = 0
    return np.take_along_axis(four, votes.argmax(axis=-1)[..., None], axis=-1)[..., 0]


def halve_stored(stored: Pixels) -> Pixels:
    """Halve stored probabilities, where 0 means that there is none: the mean over those present."""
    four = _blocks(stored, 0)
    there = np.maximum((four > 0).sum(axis=-1), 1)
    return np.rint(four.sum(axis=-1, dtype=np.uint32) / there).astype(stored.dtype)
