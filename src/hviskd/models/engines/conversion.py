"""Converts a Model to ONNX, once, and keeps the file in the user's cache."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import external_data_helper

from hviskd.errors import ModelError
from hviskd.models.card import ModelCard
from hviskd.models.classifier import TileClassifier
from hviskd.models.engines.engine import INPUT, OUTPUT
from hviskd.models.engines.kept import OPSET, cache_of_networks, keep_onnx, kept_onnx
from hviskd.models.folder import INT8
from hviskd.models.model import Model


def onnx_of(model: Model) -> bytes:
    """Return a Model as an ONNX file in float32: `tiles`, uint8 (B, tile_px, tile_px, 3) → `probabilities` (B, K).

    It is converted once, in a few seconds, and kept in `cache_folder()`; a damaged file there is replaced, and where
    the folder cannot be written to the file is made each time, with a warning.
    """
    content = kept_onnx(model.card)
    if content is None:
        content = convert(model)
        try:
            keep_onnx(model.card, content)
        except OSError as error:
            warnings.warn(
                f"{cache_of_networks()}: cannot store the converted network ({error.strerror}); "
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
    require_int8(content, model.card, model.folder)
    return content


def require_int8(content: bytes, card: ModelCard, folder: Path) -> None:
    """Reject an int8 variant that is not such a file, whatever the card says of it.

    Raises:
        ModelError: It is not.
    """
    tile_px, classes = card.tile_px, len(card.classes)
    try:
        network = onnx.load_from_string(content)
        onnx.checker.check_model(network)
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise ModelError(f"{folder / INT8}: not an ONNX file; repeat `quantize()`") from error
    ends = [(value.name, _shape(value)[1:]) for value in (*network.graph.input, *network.graph.output)]
    outside = any(external_data_helper.uses_external_data(tensor) for tensor in network.graph.initializer)
    if outside or ends != [(INPUT, [tile_px, tile_px, 3]), (OUTPUT, [classes])]:
        raise ModelError(
            f"{folder / INT8}: not a self-contained classifier of {classes} classes and tiles of {tile_px} px; "
            "repeat `quantize()`"
        )


def _shape(value: onnx.ValueInfoProto) -> list[int]:
    return [side.dim_value for side in value.type.tensor_type.shape.dim]


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
            opset_version=OPSET,
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
