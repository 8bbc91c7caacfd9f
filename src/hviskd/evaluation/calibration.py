"""Calibrates a Model's probabilities by temperature scaling, and finds the threshold below which it is unsure."""

import copy
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import scipy
import torch
from numpy.typing import ArrayLike, NDArray

from hviskd.arrays import Floats, Floats32
from hviskd.checks import require_positive_share
from hviskd.errors import DataError
from hviskd.evaluation.confidence import risk_coverage
from hviskd.evaluation.metrics import measure
from hviskd.models import AnyModel, Compute, load_model, save_model
from hviskd.models.admission import cautions, require_fit
from hviskd.models.card import CalibrationRecord
from hviskd.models.coarse_to_fine import coarse_to_fine_record
from hviskd.models.folder import CARD
from hviskd.models.prediction import predict_rows
from hviskd.progress import Progress
from hviskd.storage import require_free
from hviskd.tiles import TileSet, require_no_leak

if TYPE_CHECKING:
    from hviskd.models import Model

LIMITS = (0.05, 20.0)  # a temperature near one of them is no optimum
MIN_SURE_TILES = 30  # an accuracy of fewer says nothing
_SAME_NATS = 1e-6
_SMALLEST = float(np.finfo(np.float32).tiny)  # float32 probabilities below are 0


def tempered(probabilities: ArrayLike, temperature: float) -> Floats:
    """Return softmax(z / T) of the logits z behind probabilities, float (N, K), as float64 (N, K)."""
    logs = np.log(np.maximum(np.asarray(probabilities, np.float64), _SMALLEST)) / temperature
    shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), np.float64)


def negative_log_likelihood(labels: NDArray[np.int64], probabilities: ArrayLike) -> float:
    """Return the mean of −ln p of the true class, in nats, for labels (N,) and probabilities (N, K)."""
    own = np.take_along_axis(np.asarray(probabilities, np.float64), labels[:, None], axis=1)
    return float(-np.log(np.maximum(own, _SMALLEST)).mean())


def fit_temperature(labels: NDArray[np.int64], probabilities: ArrayLike) -> float:
    """Find the temperature with the highest likelihood of the true classes (Guo et al. 2017, section 4.2).

    Args:
        labels: True class of every tile, int64 (N,).
        probabilities: Float (N, K).

    Returns:
        The temperature; 1 if it makes no difference, for example because all classes are always equally probable.

    Raises:
        DataError: There is no optimum, since the model makes no errors or its probabilities say nothing of the tiles.
    """

    def likelihood(exponent: float) -> float:
        return negative_log_likelihood(labels, tempered(probabilities, math.exp(exponent)))

    ends = (math.log(LIMITS[0]), math.log(LIMITS[1]))
    found = scipy.optimize.minimize_scalar(likelihood, bounds=ends, method="bounded", options={"xatol": 1e-6})
    if max(map(likelihood, ends)) - found.fun < _SAME_NATS:
        return 1.0
    temperature, told = math.exp(found.x), f"on {len(labels):,} validation tiles"
    if temperature <= 1.02 * LIMITS[0]:
        raise DataError(
            f"no temperature fits: {told}, the model makes no errors, or so few that every probability should be "
            "near 1; calibrate on more validation tiles, or use the model uncalibrated"
        )
    if temperature >= LIMITS[1] / 1.02:
        right = float((np.asarray(probabilities).argmax(axis=1) == labels).mean())
        raise DataError(
            f"no temperature fits: {told}, top-1 is {right:.1%}, and the tiles with high probabilities are not more "
            "often right; train the model for longer, or check that its classes mean those of the tiles"
        )
    return temperature


def sure_from(labels: NDArray[np.int64], probabilities: ArrayLike, accuracy: float) -> tuple[float | None, float]:
    """Find the lowest probability from which on enough tiles are correct.

    Args:
        labels: True class of every tile, int64 (N,).
        probabilities: Float (N, K).
        accuracy: Accuracy required of the tiles above the threshold.

    Returns:
        The probability and the fraction of tiles that reach it; None and 0 if no 30 or more tiles reach `accuracy`.
    """
    curve = risk_coverage(labels, probabilities)
    enough = (curve.risk <= 1 - accuracy + 1e-12) & (curve.coverage * len(labels) >= MIN_SURE_TILES - 1e-6)
    if not enough.any():
        return None, 0.0
    place = int(np.flatnonzero(enough)[-1])
    return float(curve.threshold[place]), float(curve.coverage[place])


def calibrate(
    model: AnyModel,
    tileset: TileSet | Path | str,
    output: Path | str,
    *,
    accuracy: float = 0.95,
    allow_leak: bool = False,
    device: str = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> "Model":
    """Write a copy of a Model with calibrated probabilities and a threshold below which it is unsure.

    The classifier's weights are divided by the temperature, so that every engine and export gives the calibrated
    probabilities; no tile's class changes. An int8 variant is left out, since its probabilities are uncalibrated;
    the threshold of a first pass at low power is found again.

    Args:
        model: The Model.
        tileset: Tiles of its size and classes; only the validation split is read.
        output: Folder for the new Model.
        accuracy: Accuracy required of the tiles above the threshold.
        allow_leak: Continue if the splits leak or the Model was trained with another split, so that it may have been
            trained on the validation tiles.
        device: Where the Model runs.
        overwrite: Whether to replace an existing Model.
        progress: Called with done, total and what is being done; a bar by default.

    Raises:
        DataError: There is no validation split, the output folder is not empty, `accuracy` is out of range, or no
            temperature fits.
        LeakError: The Model may have been trained on the validation tiles.
        ModelError: The tiles do not suit the Model.
    """
    output = Path(output)
    require_positive_share(accuracy=accuracy)
    model, tileset = load_model(model), TileSet.open(tileset)
    require_free(output, overwrite=overwrite, replaces=(CARD, "model"))
    if model.card.calibration is not None:
        raise DataError(f"{model.folder}: is already calibrated; calibrate the original Model")
    require_fit(model, tileset)
    require_no_leak(tileset, allow_leak=allow_leak)
    cautions([model], [model.card.name], tileset, "val", allow_leak=allow_leak)
    rows = tileset.require_split("val")
    labels = tileset.labels[rows]
    compute = Compute(device=device)
    before = predict_rows(model, tileset, rows, compute, progress=progress)
    record = _record(tileset, labels, before, accuracy)
    coarse = None
    if model.card.coarse_to_fine is not None:
        first = predict_rows(model, tileset, rows, compute, low_power=True, progress=progress)
        both = (tempered(each, record.temperature).astype(np.float32) for each in (first, before))
        coarse = coarse_to_fine_record(*both, data=record.data, data_fingerprint=record.data_fingerprint)
    network = copy.deepcopy(model.network).cpu()
    with torch.no_grad():
        for weight in network.head.classifier.parameters():
            weight.div_(record.temperature)
    name = f"{model.card.name}-calibrated"
    card = model.card.model_copy(update={"name": name, "calibration": record, "int8": None, "coarse_to_fine": coarse})
    return save_model(network, card, output, overwrite=overwrite)


def _record(tileset: TileSet, labels: NDArray[np.int64], before: Floats32, accuracy: float) -> CalibrationRecord:
    """Fit temperature and threshold to the probabilities of the validation tiles, float32 (N, K)."""
    temperature = fit_temperature(labels, before)
    after = tempered(before, temperature)
    threshold, share = sure_from(labels, after, accuracy)
    return CalibrationRecord(
        temperature=temperature,
        data=tileset.folder.resolve().name,
        data_fingerprint=tileset.fingerprint,
        val_tiles=len(labels),
        nll_before=negative_log_likelihood(labels, before),
        nll_after=negative_log_likelihood(labels, after),
        ece_before=measure(labels, before).ece,
        ece_after=measure(labels, after).ece,
        accuracy=accuracy,
        unsure_below=threshold,
        sure_share=share,
    )
