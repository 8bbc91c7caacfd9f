"""Converts a Model to ONNX, once, and keeps the file in the user's cache."""

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import external_data_helper

from hviskd.errors import DataError, ModelError
from hviskd.file_names import safe_name
from hviskd.models.classifier import TileClassifier
from hviskd.models.folder import INT8
from hviskd.models.model import Model
from hviskd.storage import atomic_file, cache_folder, read_json, write_json
from hviskd.version import __version__

INPUT, OUTPUT = "tiles", "probabilities"
_OPSET = 18  # the oldest that torch's exporter writes without translating
_LAYOUT = 1  # raised when what is converted changes, so that no old file is taken for a new one


def onnx_of(model: Model) -> bytes:
    """Return a Model as an ONNX file in float32: `tiles`, uint8 (B, tile_px, tile_px, 3) → `probabilities` (B, K).

    It is converted once, in a few seconds, and kept in `cache_folder()`; a damaged file there is replaced, and where
    the folder cannot be written to the file is made each time, with a warning.
    """
    file = _file(model)
    content = _kept(file)
    if content is None:
        content = convert(model)
        try:
            _keep(file, content, _source(model))
        except OSError as error:
            warnings.warn(
                f"{file.parent}: cannot store the converted network ({error.strerror}); "
                "set HVISKD_CACHE to a writable folder",
                stacklevel=2,
            )
    return content


def int8_of(model: Model) -> bytes:
    """Return a Model's int8 variant as an ONNX file, with the same input and output as that of `onnx_of`.

    Raises:
        ModelError: There is none, it is damaged, or it is not such a file.
    """
    content = model.int8_onnx()
    tile_px, classes = model.card.tile_px, len(model.card.classes)
    try:
        network = onnx.load_from_string(content)
        onnx.checker.check_model(network)
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise ModelError(f"{model.folder / INT8}: not an ONNX file; repeat `quantize()`") from error
    ends = [(value.name, _shape(value)[1:]) for value in (*network.graph.input, *network.graph.output)]
    outside = any(external_data_helper.uses_external_data(tensor) for tensor in network.graph.initializer)
    if outside or ends != [(INPUT, [tile_px, tile_px, 3]), (OUTPUT, [classes])]:
        raise ModelError(
            f"{model.folder / INT8}: not a self-contained classifier of {classes} classes and tiles of {tile_px} px; "
            "repeat `quantize()`"
        )
    return content


def _shape(value: onnx.ValueInfoProto) -> list[int]:
    return [side.dim_value for side in value.type.tensor_type.shape.dim]


def keep_check(model: Model, engine: str, difference: float) -> None:
    """Record beside the cached file how much an engine's output differed from torch's, unless already recorded."""
    card_file = _file(model).with_suffix(".json")
    with suppress(DataError, OSError):  # a note, which nothing reads back
        card = read_json(card_file)
        if engine not in card["largest_difference_to_torch"]:
            card["largest_difference_to_torch"][engine] = difference
            write_json(card_file, card)


def convert(model: Model) -> bytes:
    """Convert a Model to ONNX in float32, as `onnx_of` describes it, for any batch size."""
    # ONNX knows no layout but torch's usual one; the other would be spelled out in gathers and strides.
    classifier = TileClassifier(model, layout=torch.contiguous_format).eval()
    tile_px = model.card.tile_px
    example = torch.zeros(2, tile_px, tile_px, 3, dtype=torch.uint8)  # of 1 the exporter would make a constant
    with _quiet():
        program = torch.onnx.export(
            classifier,
            (example,),
            dynamo=True,
            opset_version=_OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={INPUT: {0: torch.export.Dim("batch", min=1, max=2**16)}},
            verbose=False,
        )
    assert program is not None
    network = program.model_proto
    for node in network.graph.node:
        del node.metadata_props[:]  # lines and paths of our own source
    return network.SerializeToString()


def _file(model: Model) -> Path:
    """Return the cache path of a Model's file, whose name encodes everything that the file depends on."""
    key = hashlib.sha256(json.dumps(_source(model), sort_keys=True).encode()).hexdigest()[:32]
    return cache_folder() / "onnx" / f"{safe_name(model.card.network.name)}-{key}.onnx"


def _source(model: Model) -> dict[str, object]:
    """Return everything that the converted file depends on."""
    card = model.card
    return {
        "layout": _LAYOUT,
        "opset": _OPSET,
        "weights": model.fingerprint,
        "network": card.network.model_dump(),
        "classes": len(card.classes),
        "tile_px": card.tile_px,
        "normalisation": card.normalisation.model_dump(mode="json"),
        "versions": {"hviskd": __version__} | {name: version(name) for name in ("torch", "onnx", "onnxscript")},
    }


def _kept(file: Path) -> bytes | None:
    """Return the cached file, if it is complete and unchanged."""
    try:
        card = read_json(file.with_suffix(".json"))
        content = file.read_bytes()
    except (DataError, OSError):
        return None
    whole = isinstance(card, dict) and card.get("sha256") == hashlib.sha256(content).hexdigest()
    return content if whole and isinstance(card.get("largest_difference_to_torch"), dict) else None


def _keep(file: Path, content: bytes, source: dict[str, object]) -> None:
    """Write the file, then the card without which it is not read."""
    with atomic_file(file) as partial:
        partial.write_bytes(content)
    card = {"sha256": hashlib.sha256(content).hexdigest(), "made_from": source, "largest_difference_to_torch": {}}
    write_json(file.with_suffix(".json"), card)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the exporter's remarks on what it does and on optional libraries."""
    logs = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
