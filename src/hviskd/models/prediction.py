"""Computes a Model's probabilities for tiles of a TileSet, batch by batch."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hviskd.arrays import Floats32, Ints
from hviskd.errors import ModelError
from hviskd.models.compute import Compute
from hviskd.models.device import device_name
from hviskd.models.engines.engine import Engine
from hviskd.processor import keep_freed_memory
from hviskd.progress import Progress, progress_bar
from hviskd.tiles.low_power import at_low_power

if TYPE_CHECKING:
    from hviskd.models.model import Model
    from hviskd.tiles import TileSet

_TILES = 128  # in memory at a time
Predict = Callable[[NDArray[np.uint8]], Floats32]  # tiles (N, H, W, 3) → probabilities (N, K)


def predictor(model: "Model", compute: Compute) -> Predict:
    """Return a function that classifies tiles: by torch in float32, unless `compute` names another engine or precision.

    With precision int8, a Model that has no int8 variant is run in float32; the variant runs on the CPU.

    Raises:
        ModelError: The engine does not run the Model, or the int8 variant is damaged or differs too much here.
    """
    if compute.precision == "int8" and model.card.int8 is not None:
        compute = replace(compute, device="cpu")
    elif compute.precision in ("auto", "int8"):  # left to itself, an engine would run any int8 variant there is
        compute = replace(compute, precision="float32")
    if compute.engine in ("auto", "torch") and compute.precision == "float32":
        if device_name(compute.device) == "cpu":
            keep_freed_memory()
        if compute.threads is None:
            return partial(model.predict, batch_size=compute.batch_size, device=compute.device)
        compute = replace(compute, engine="torch")
    return compute.open(model)


def tiles_per_call(predict: Predict, compute: Compute) -> int:
    """Return the number of tiles to pass to a `predictor` in one call."""
    return predict.tiles_per_call if isinstance(predict, Engine) else compute.batch_size or _TILES


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
    model: "Model",
    tileset: "TileSet",
    rows: Ints,
    compute: Compute | None = None,
    *,
    low_power: bool = False,
    progress: Progress | None = None,
) -> Floats32:
    """Return a Model's probabilities for rows of a TileSet, float32 (N, K), batch by batch; at low power if asked to.

    Raises:
        ModelError: Its outputs contain NaN or infinity.
    """
    compute = compute or Compute()
    model = model.at_low_power() if low_power else model
    predict = predictor(model, compute)
    count = tiles_per_call(predict, compute)
    probabilities = np.empty((len(rows), len(tileset.classes)), np.float32)
    with progress_bar(f"classify with {model.card.name}", len(rows), progress) as advance:
        for start in range(0, len(rows), count):
            batch = tileset.pixels[rows[start : start + count]]
            batch = at_low_power(batch) if low_power else batch
            probabilities[start : start + len(batch)] = classify(model, tileset.classes, batch, predict)
            advance(len(batch))
    return probabilities
