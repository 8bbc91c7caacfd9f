"""Computes a Model's probabilities for tiles of a TileSet, batch by batch."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hviskd.arrays import Floats32, Ints
from hviskd.errors import ModelError
from hviskd.progress import progress_bar

if TYPE_CHECKING:
    from hviskd.models.model import Model
    from hviskd.tiles import TileSet

Predict = Callable[[NDArray[np.uint8]], Floats32]  # tiles (N, H, W, 3) → probabilities (N, K)


def predictor(model: "Model", *, batch_size: int = 128, device: str = "auto", int8: bool = False) -> Predict:
    """Return a function that classifies tiles: the Model, or its int8 variant if requested and present.

    Raises:
        ModelError: The int8 variant is damaged, or does on this computer what it did not where it was made.
    """
    if int8 and model.card.int8 is not None:
        from hviskd.models.engines import open_engine

        return open_engine(model, precision="int8", device="cpu", batch_size=batch_size)
    return partial(model.predict, batch_size=batch_size, device=device)


def classify(model: "Model", classes: Sequence[str], tiles: NDArray[np.uint8], predict: Predict) -> Floats32:
    """Return a Model's probabilities for tiles, uint8 (N, H, W, 3), as float32 (N, K), in the order of `classes`.

    Args:
        model: The Model.
        classes: Its classes, in the wanted order.
        tiles: The tiles.
        predict: Its `predictor`.

    Raises:
        ModelError: Its outputs contain NaN or infinity.
    """
    probabilities = predict(tiles)
    if probabilities.shape != (len(tiles), len(model.card.classes)) or not np.isfinite(probabilities).all():
        raise ModelError(f"{model.folder}: its outputs contain NaN or infinity; retrain it")
    return probabilities[:, [model.card.classes.index(name) for name in classes]]


def predict_rows(
    model: "Model", tileset: "TileSet", rows: Ints, *, batch_size: int = 128, device: str = "auto", int8: bool = False
) -> Floats32:
    """Return a Model's probabilities for rows of a TileSet, float32 (N, K), with a progress bar.

    Raises:
        ModelError: Its outputs contain NaN or infinity.
    """
    predict = predictor(model, batch_size=batch_size, device=device, int8=int8)
    probabilities = np.empty((len(rows), len(tileset.classes)), np.float32)
    with progress_bar(f"classify with {model.card.name}", len(rows)) as advance:
        for start in range(0, len(rows), batch_size):
            batch = tileset.pixels[rows[start : start + batch_size]]
            probabilities[start : start + len(batch)] = classify(model, tileset.classes, batch, predict)
            advance(len(batch))
    return probabilities
