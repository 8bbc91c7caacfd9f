"""Gives the pixels of one slide the stain of another, in one step; whatever feeds tiles to a network uses it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hviskd.errors import DataError
from hviskd.slides.lab import LAB_OFFSET, RGB_TO_XYZ, ROOTS_TO_LAB, levels_of, linear_levels, roots_of
from hviskd.slides.stain import LIGHT, Stain

RGB = NDArray[np.uint8]
Step = Callable[[RGB], NDArray[np.float32]]  # RGB (N, 3) → grey levels (N, 3) plus a half, not cut off yet

# What fits a core's cache; and how many px BLAS is given as one row, since it is slow with matrices as small as 3 × 3.
_CHUNK_PX, _PX_A_ROW = 12288, 4
_LAB_STEPS = 2**15  # entries of the tables for the two curves of Lab; a fifth of a grey level at worst


@dataclass(frozen=True)
class StainTransfer:
    """A change of stain, ready to be applied to any number of images.

    Attributes:
        problem: Why the images are left as they are; empty where they are changed.
    """

    _step: Step | None
    problem: str = ""

    def __call__(self, images: RGB) -> RGB:
        """Give images the other stain: uint8 (..., 3) in, a new array of the same shape out."""
        if self._step is None:
            return images.copy()
        pixels = images.reshape(-1, 3)
        changed = np.empty_like(pixels)
        for start in range(0, len(pixels), _CHUNK_PX):
            levels = self._step(pixels[start : start + _CHUNK_PX])
            changed[start : start + _CHUNK_PX] = np.clip(levels, 0, 255, out=levels)
        return changed.reshape(images.shape)


def stain_transfer(source: Stain, reference: Stain) -> StainTransfer:
    """Prepare the change from one stain to another.

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
        raise DataError(f"stain reference: {reference.problem}; choose another one, with more tissue")
    if source.method != reference.method:
        raise DataError(f"stain reference: fitted by {reference.method}, the slide by {source.method}; use one method")
    if source.problem:
        return StainTransfer(None, source.problem)
    return StainTransfer(
        _macenko_step(source, reference) if source.method == "macenko" else _lab_step(source, reference)
    )


def macenko_matrix(source: Stain, reference: Stain) -> NDArray[np.float64]:
    """Give the change of stain as a matrix on optical density, float64 (3, 3): density_new = matrix @ density.

    It unmixes the source's stains by least squares, scales their amounts to the reference's, and mixes the
    reference's colours with them (Macenko et al. 2009).
    """
    scale = np.divide(reference.max_concentrations or (), source.max_concentrations or ())
    return np.array(reference.vectors) @ np.diag(scale) @ np.linalg.pinv(np.array(source.vectors))


def _macenko_step(source: Stain, reference: Stain) -> Step:
    # light_new + 1 = LIGHT * exp(-matrix @ density), where density = log(LIGHT) - log(light + 1).
    # Powers of two are cheaper than of e, and the product can change the base.
    matrix = macenko_matrix(source, reference).T
    mix = np.kron(np.eye(_PX_A_ROW), matrix / np.log(2)).astype(np.float32)
    shift = np.tile(np.log2(LIGHT) * (1 - matrix.sum(axis=0)), _CHUNK_PX).astype(np.float32)
    one, half = np.float32(1), np.float32(0.5)

    def step(pixels: RGB) -> NDArray[np.float32]:
        light = np.empty(-(-pixels.size // len(mix)) * len(mix), np.float32)  # whole rows
        np.add(pixels.reshape(-1), one, out=light[: pixels.size], dtype=np.float32)
        light[pixels.size :] = one
        np.log(light, out=light)
        light = (light.reshape(-1, len(mix)) @ mix).reshape(-1)[: pixels.size]
        light += shift[: pixels.size]
        np.exp2(light, out=light)
        light -= half
        return light.reshape(-1, 3)

    return step


def _lab_step(source: Stain, reference: Stain) -> Step:
    """Fuse Reinhard's change of mean and spread with the way to Lab and back: two matrices between two tables."""
    spread = np.divide(reference.lab_sd or (), source.lab_sd or ())
    shift = np.array(reference.lab_mean) - spread * np.array(source.lab_mean)
    back = np.linalg.inv(ROOTS_TO_LAB)
    matrix = (back @ np.diag(spread) @ ROOTS_TO_LAB).T.astype(np.float32)
    offset = (back @ ((spread - 1) * LAB_OFFSET + shift)).astype(np.float32)
    to_xyz = (RGB_TO_XYZ.T * _LAB_STEPS).astype(np.float32)
    from_xyz = (np.linalg.inv(RGB_TO_XYZ).T * _LAB_STEPS).astype(np.float32)
    light_of = linear_levels().astype(np.float32)
    root_of = roots_of(np.arange(_LAB_STEPS + 2) / _LAB_STEPS).astype(np.float32)
    level_of = levels_of(np.arange(_LAB_STEPS + 1) / _LAB_STEPS).astype(np.float32) + np.float32(0.5)

    def step(pixels: RGB) -> NDArray[np.float32]:
        roots = root_of.take((light_of.take(pixels) @ to_xyz + 0.5).astype(np.intp))
        roots = roots @ matrix + offset
        xyz = np.where(roots > 0.2068966, roots**3, (roots - np.float32(16 / 116)) / np.float32(7.787))
        light = xyz @ from_xyz + 0.5
        return level_of.take(np.clip(light, 0, _LAB_STEPS).astype(np.intp))

    return step
