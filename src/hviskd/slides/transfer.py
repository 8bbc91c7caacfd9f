"""Normalises the stain of images to a reference stain."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hviskd.arrays import RGB
from hviskd.errors import DataError
from hviskd.slides.lab import LAB_OFFSET, RGB_TO_XYZ, ROOTS_TO_LAB, levels_of, linear_levels, roots_of
from hviskd.slides.stain import LIGHT, Stain

Plane = Callable[[int], NDArray[np.float32]]  # blue → grey levels (channel, green, red) plus a half, not cut off yet

_CHUNK_PX = 2**15  # what fits a core's cache
_LAB_STEPS = 2**15  # entries of the tables for the two curves of Lab; a fifth of a grey level at worst


class StainTransfer:
    """A stain transfer, ready for any number of images and threads.

    It changes every colour there is once, when it is made (a tenth of a second by Macenko, most of one by Reinhard),
    and looks pixels up in that table of 64 MiB, which is several times faster than to change each of them.

    Attributes:
        problem: Why the images are left as they are; empty where they are changed.
    """

    def __init__(self, plane: Plane | None, problem: str = "") -> None:
        self.problem = problem
        self._table = None if plane is None else _table_of(plane)

    def __call__(self, images: RGB, out: RGB | None = None) -> RGB:
        """Apply the stain transfer to images.

        Args:
            images: uint8 (..., 3).
            out: Where to put the outcome, C-contiguous and of the same shape; it may be `images` itself.

        Returns:
            `out`, or a new array.

        Raises:
            ValueError: `out` is not C-contiguous or of another shape.
        """
        if out is not None and (out.shape != images.shape or not out.flags.c_contiguous):
            raise ValueError(f"out must be C-contiguous and of shape {images.shape}")
        changed = np.empty_like(images, order="C") if out is None else out
        if self._table is None:
            changed[...] = images
        else:
            _look_up(images.reshape(-1, 3), self._table, changed.reshape(-1, 3))
        return changed


def stain_transfer(source: Stain, reference: Stain) -> StainTransfer:
    """Prepare the transfer from one stain to another.

    Macenko's keeps glass as it is. Reinhard's moves all colours alike, so that glass takes on a tint: choose the
    slides' method by looking at tiles of both.

    Args:
        source: The stain of the images to come. With a `problem`, they will be left as they are, and the transfer
            tells the problem.
        reference: The stain they are to have.

    Raises:
        DataError: The reference has a problem, or the two were fitted in different ways.
    """
    if reference.problem:
        raise DataError(f"stain reference: {reference.problem}; choose another one with more tissue")
    if source.method != reference.method:
        raise DataError(f"stain reference: fitted by {reference.method}, the slide by {source.method}; use one method")
    if source.problem:
        return StainTransfer(None, source.problem)
    return StainTransfer((_macenko_plane if source.method == "macenko" else _lab_plane)(source, reference))


def macenko_matrix(source: Stain, reference: Stain) -> NDArray[np.float64]:
    """Return the stain transfer as a matrix on optical density, float64 (3, 3): density_new = matrix @ density.

    It unmixes the source's stains by least squares, scales their amounts to the reference's, and mixes the
    reference's colours with them (Macenko et al. 2009).
    """
    scale = np.divide(reference.max_concentrations or (), source.max_concentrations or ())
    return np.array(reference.vectors) @ np.diag(scale) @ np.linalg.pinv(np.array(source.vectors))


def _table_of(plane: Plane) -> NDArray[np.uint32]:
    """Transform every colour: red r, green g and blue b are at r + 256 g + 65,536 b, and are coded the same way."""
    table = np.zeros((256, 256, 256, 4), np.uint8)
    for blue in range(256):
        levels = plane(blue)
        np.clip(levels, 0, 255, out=levels)
        for channel in range(3):  # all three at once would be copied three bytes at a time
            table[blue, ..., channel] = levels[channel]
    return table.reshape(-1).view("<u4")


def _look_up(pixels: RGB, table: NDArray[np.uint32], changed: RGB) -> None:
    # A number of a colour is the four bytes from its pixel's first one on, without the last of them, which is its
    # neighbour's. NumPy copies upwards, so each number's last byte gives way to the neighbour; whether it still does,
    # the tests of every colour tell. Three bytes of four at a time would take ten times as long.
    size = min(_CHUNK_PX, len(pixels))
    chunk = np.zeros(size * 3 + 1, np.uint8)
    numbers = np.ndarray(size, "<u4", chunk, strides=(3,))
    place, found = np.empty(size, np.intp), np.empty(size, np.uint32)
    for start in range(0, len(pixels), _CHUNK_PX):
        some = pixels[start : start + _CHUNK_PX]
        chunk[: some.size] = some.reshape(-1)
        place[:] = numbers
        place &= 0xFFFFFF
        table.take(place, out=found, mode="clip")  # there is nothing to clip, but it saves a copy
        numbers[:] = found
        changed[start : start + _CHUNK_PX] = chunk[: some.size].reshape(-1, 3)


def _macenko_plane(source: Stain, reference: Stain) -> Plane:
    # light_new + 1 = LIGHT * exp(-matrix @ density), where density = log(LIGHT) - log(light + 1).
    # Powers of two are cheaper than of e.
    matrix = macenko_matrix(source, reference)
    density = np.log2(LIGHT) - np.log2(np.arange(256) + 1)
    red, green, blue = (-matrix.T[..., None] * density).astype(np.float32)  # (channel, level) each
    of_red_and_green = red[:, None, :] + green[:, :, None] + np.float32(np.log2(LIGHT))

    def plane(level: int) -> NDArray[np.float32]:
        light = of_red_and_green + blue[:, level, None, None]
        np.exp2(light, out=light)
        light -= np.float32(0.5)
        return light

    return plane


def _lab_plane(source: Stain, reference: Stain) -> Plane:
    """Combine Reinhard's mean and deviation with the conversions to and from Lab: two matrices between two tables."""
    spread = np.divide(reference.lab_sd or (), source.lab_sd or ())
    shift = np.array(reference.lab_mean) - spread * np.array(source.lab_mean)
    back = np.linalg.inv(ROOTS_TO_LAB)
    matrix = (back @ np.diag(spread) @ ROOTS_TO_LAB).astype(np.float32)
    offset = (back @ ((spread - 1) * LAB_OFFSET + shift)).astype(np.float32)[:, None]
    from_xyz = (np.linalg.inv(RGB_TO_XYZ) * _LAB_STEPS).astype(np.float32)
    red, green, blue = ((RGB_TO_XYZ.T * _LAB_STEPS)[..., None] * linear_levels()).astype(np.float32)  # (xyz, level)
    of_red_and_green = (red[:, None, :] + green[:, :, None] + np.float32(0.5)).reshape(3, -1)
    root_of = roots_of(np.arange(_LAB_STEPS + 2) / _LAB_STEPS).astype(np.float32)
    level_of = levels_of(np.arange(_LAB_STEPS + 1) / _LAB_STEPS).astype(np.float32) + np.float32(0.5)

    def plane(level: int) -> NDArray[np.float32]:
        roots = root_of.take((of_red_and_green + blue[:, level, None]).astype(np.intp))
        roots = matrix @ roots + offset
        xyz = np.where(roots > 0.2068966, roots * roots * roots, (roots - np.float32(16 / 116)) / np.float32(7.787))
        light = from_xyz @ xyz + np.float32(0.5)
        return level_of.take(np.clip(light, 0, _LAB_STEPS).astype(np.intp)).reshape(3, 256, 256)

    return plane
