"""Checks the output of engines, int8 variants and exports against torch."""

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hviskd.arrays import RGB, Floats32
from hviskd.errors import ModelError
from hviskd.models.card import ModelCard

if TYPE_CHECKING:
    from hviskd.models.model import Model

# Largest difference of a probability to torch's in float32. The order of sums alone makes less than 1e-5; the value
# of int8 comes on top of the difference that was measured when the int8 variant was made, by whichever engine.
TOLERANCES = {"float32": 1e-3, "float16": 0.02, "int8": 0.1}

_MOST_TILES, _FEWEST_TILES = 8, 2
_MOST_PX = 256  # as many px as eight tiles of this side have are checked; larger tiles are fewer
_TISSUE = "check_tiles.png"  # six tiles, one below the other; `tests/data/draw.py` drew them


def check_tiles(card: ModelCard) -> RGB:
    """Return the tiles of the check, uint8 (B, tile_px, tile_px, 3), always the same for the same Model.

    Eight, or fewer where tiles are large: tissue under H&E from six patients at 0.25 to 2 µm/px, one tile of noise and
    one of black beside white. Of smaller tiles the upper left corner is taken; larger ones are repetitions.
    """
    tile_px = card.tile_px
    tissue = _tissue()
    side = tissue.shape[1]
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    edge = np.zeros((side, side, 3), np.uint8)
    edge[:, min(side, tile_px) // 2 :] = 255
    count = int(np.clip(_MOST_TILES * _MOST_PX**2 // tile_px**2, _FEWEST_TILES, _MOST_TILES))
    tiles = np.stack([tissue[0], noise, edge, *tissue[1:]][:count])
    repeats = -(-tile_px // side)
    return np.tile(tiles, (1, repeats, repeats, 1))[:, :tile_px, :tile_px]


@cache
def _tissue() -> RGB:
    """Read the stored tiles (6, 160, 160, 3)."""
    with (files("hviskd.models") / _TISSUE).open("rb") as stream, Image.open(stream) as picture:
        pixels = np.asarray(picture)
    return pixels.reshape(-1, pixels.shape[1], pixels.shape[1], 3)


def torch_answers(model: "Model") -> Floats32:
    """Return torch's probabilities on `check_tiles`, in float32 on the CPU: what all else is held against."""
    return model.predict(check_tiles(model.card), batch_size=_FEWEST_TILES, device="cpu")


def largest_difference(
    card: ModelCard, answers: Floats32, classify: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
) -> float:
    """Return the largest difference of a probability from `torch_answers`, over `check_tiles`.

    Infinite where `classify` gives something that is not a number.
    """
    difference = np.abs(classify(check_tiles(card)) - answers).max()
    return float(difference) if np.isfinite(difference) else float("inf")


def require_agreement(folder: Path, card: ModelCard, what: str, precision: str, difference: float, remedy: str) -> None:
    """Reject an engine or export whose output differs too much from torch's.

    Args:
        folder: Of the Model.
        card: Its card.
        what: Name of what runs the Model, for messages.
        precision: What it calculates with.
        difference: Its `largest_difference`.
        remedy: What to do if it is too large.

    Raises:
        ModelError: The difference is above the tolerance of that precision.
    """
    if not agrees(card, precision, difference):
        raise ModelError(
            f"{folder}: with {what}, a probability differs from torch's by {difference:.2g}, "
            f"more than {_tolerance(card, precision):.2g}; {remedy}"
        )


def agrees(card: ModelCard, precision: str, difference: float) -> bool:
    """Return whether a `largest_difference` is small enough for a precision; NaN never is."""
    return 0 <= difference <= _tolerance(card, precision)


def _tolerance(card: ModelCard, precision: str) -> float:
    known = card.int8.largest_difference if precision == "int8" and card.int8 else 0.0
    return known + TOLERANCES[precision]
