"""Makes the int8 variant of a Model and measures its loss of accuracy."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from onnx import load as load_graph
from onnxruntime.quantization import (  # type: ignore[import-untyped]
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process  # type: ignore[import-untyped]

from hviskd.checks import require_at_least
from hviskd.errors import DataError, ModelError
from hviskd.models.admission import require_fit
from hviskd.models.card import Int8Record
from hviskd.models.checking import torch_answers
from hviskd.models.engines.conversion import onnx_of
from hviskd.models.engines.engine import INPUT, Engine
from hviskd.models.engines.opening import cpu_runner, measured, open_engine
from hviskd.models.engines.plan import possible_plans
from hviskd.models.finding import AnyModel, load_model
from hviskd.models.folder import CARD
from hviskd.models.model import Model, save_model
from hviskd.progress import Advance, Progress, progress_bar
from hviskd.storage import require_free
from hviskd.tiles import TileSet

_BATCH = 32  # tiles whose ranges are taken together


@dataclass(frozen=True)
class QuantizeSettings:
    """How to quantize a Model, and how much accuracy that may cost.

    Attributes:
        calibration_tiles: Number of tiles used to calibrate the activation ranges.
        tolerance_points: Largest accepted drop of top-1 on the validation split, in percentage points.
        seed: Random seed for drawing the calibration tiles.

    Raises:
        DataError: A number is out of range.
    """

    calibration_tiles: int = 512
    tolerance_points: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject invalid values."""
        require_at_least(1, calibration_tiles=self.calibration_tiles)
        require_at_least(0, seed=self.seed)
        if not 0 <= self.tolerance_points <= 100:
            raise DataError(f"`tolerance_points={self.tolerance_points:g}`: must be from 0 to 100")


def quantize(
    model: AnyModel,
    tileset: TileSet | Path | str,
    output: Path | str,
    *,
    settings: QuantizeSettings | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Model:
    """Write a copy of a Model with an int8 variant, if its top-1 on the validation split is close to the float one's.

    Weights and feature maps are converted to 8-bit integers; their ranges are calibrated on tiles of the
    training split, or of the validation split if that is empty. The test split is not read.

    Args:
        model: The Model.
        tileset: Tiles of its size and classes, with a validation split.
        output: Folder for the new Model.
        settings: How to quantize, and the accepted loss; by default those of `QuantizeSettings`.
        threads: Number of CPU threads; all available if None.
        overwrite: Whether to replace an existing Model.
        progress: Called with done, total and what is being done; a bar by default.

    Raises:
        ModelError: The tiles do not suit the Model, or top-1 drops by more than the tolerance; nothing is written.
        DataError: There is no validation split, or the output folder is not empty.
    """
    settings, output = settings or QuantizeSettings(), Path(output)
    model, tileset = load_model(model), TileSet.open(tileset)
    require_free(output, overwrite=overwrite, replaces=(CARD, "model"))
    require_fit(model, tileset)
    val = tileset.require_split("val")
    split, rows = _calibration_rows(tileset, settings)
    with progress_bar("calibrate", len(rows), progress) as advance:
        onnx = quantized_onnx(onnx_of(model), _batches(tileset, rows, advance, _BATCH))

    (plan,) = possible_plans(model.card, "auto", "int8", "cpu", None, threads)
    int8 = measured(model.card, plan, cpu_runner(plan, onnx, model.card.tile_px), torch_answers(model))
    exact = open_engine(model, "onnxruntime", precision="float32", threads=threads)
    truth = tileset.labels[val]
    from_float, from_int8 = (_named(model, tileset, val, engine, progress) for engine in (exact, int8))
    record = Int8Record(
        sha256=sha256(onnx).hexdigest(),
        data=tileset.folder.resolve().name,
        data_fingerprint=tileset.fingerprint,
        calibration_split=split,
        calibration_tiles=len(rows),
        val_tiles=len(val),
        top1_float=float((from_float == truth).mean()),
        top1_int8=float((from_int8 == truth).mean()),
        agreement=float((from_float == from_int8).mean()),
        largest_difference=int8.largest_difference,
        engine=f"{int8.name} {int8.version}",
    )
    _require_little_loss(model, record, settings.tolerance_points)
    card = model.card.model_copy(update={"int8": record})
    return save_model(model.network, card, output, int8_onnx=onnx, overwrite=overwrite)


def quantized_onnx(onnx: bytes, batches: Iterator[NDArray[np.uint8]]) -> bytes:
    """Quantize an ONNX file of `onnx_of`, with the same input and output, to 8-bit integers.

    A map's range is the mean of those of the batches, so that one odd tile cannot coarsen it for all. Weights have a
    range a channel. They are kept to 7 bits: then two products fit the 16 bits in which CPUs without VNNI add them,
    and the file is right on every computer. The softmax stays in float32, or probabilities would come in steps of
    1/255 and not sum to 1.

    Args:
        onnx: The file's content.
        batches: uint8 tiles (B, tile_px, tile_px, 3) from which the ranges of the maps are taken.
    """
    with tempfile.TemporaryDirectory(prefix="hviskd-") as name, _quiet():
        folder = Path(name)
        (folder / "float32.onnx").write_bytes(onnx)
        quant_pre_process(folder / "float32.onnx", folder / "prepared.onnx", skip_symbolic_shape=True)
        quantize_static(
            folder / "prepared.onnx",
            folder / "int8.onnx",
            _Batches(batches),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_nodes_of(folder / "prepared.onnx", "Softmax"),
            extra_options={"CalibMovingAverage": True},
        )
        return (folder / "int8.onnx").read_bytes()


def _nodes_of(file: Path, kind: str) -> list[str]:
    """Return the names of the nodes of a kind."""
    return [node.name for node in load_graph(file).graph.node if node.op_type == kind]


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    """Passes tiles to the calibration in the required shape."""

    def __init__(self, batches: Iterator[NDArray[np.uint8]]) -> None:
        self._batches = batches

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch}


def _calibration_rows(
    tileset: TileSet, settings: QuantizeSettings
) -> tuple[Literal["train", "val"], NDArray[np.int64]]:
    split: Literal["train", "val"] = "train" if len(tileset.rows("train")) else "val"
    rows = tileset.rows(split)
    most = min(settings.calibration_tiles, len(rows))
    drawn = np.random.default_rng(settings.seed).choice(rows, most, replace=False)
    return split, np.sort(drawn)


def _batches(tileset: TileSet, rows: NDArray[np.int64], advance: Advance, size: int) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(rows), size):
        batch = np.asarray(tileset.pixels[rows[start : start + size]])
        yield batch
        advance(len(batch))


def _named(
    model: Model, tileset: TileSet, rows: NDArray[np.int64], engine: Engine, progress: Progress | None
) -> NDArray[np.int64]:
    """Return the class that an engine finds most probable, as labels of the TileSet (len(rows),)."""
    own = np.array([tileset.classes.index(name) for name in model.card.classes])
    with progress_bar(f"evaluate {engine.precision}", len(rows), progress) as advance:
        batches = _batches(tileset, rows, advance, engine.tiles_per_call)
        chosen = [engine(batch).argmax(axis=1) for batch in batches]
    return own[np.concatenate(chosen)]


def _require_little_loss(model: Model, record: Int8Record, tolerance_points: float) -> None:
    loss = 100 * (record.top1_float - record.top1_int8)
    if loss > tolerance_points + 1e-9:
        raise ModelError(
            f"{model.folder}: on {record.val_tiles} validation tiles, top-1 is {record.top1_float:.1%} in float32 and "
            f"{record.top1_int8:.1%} in int8, a drop of {loss:.2f} points, more than {tolerance_points:g}; "
            "nothing was written; use the float Model, or allow more with `tolerance_points`"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the quantizer's advice to developers, which goes to the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
