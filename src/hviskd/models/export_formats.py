"""The export formats, one function each.

Each writes a file or fills a folder, and gives what classifies tiles by reading back what was written, with nothing of
the Model left in it.
"""

import json
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hviskd.models.classifier import TileClassifier, inference_network
from hviskd.models.engines.by_onnxruntime import onnxruntime_runner
from hviskd.models.engines.by_openvino import openvino_runner
from hviskd.models.engines.conversion import int8_of, onnx_of
from hviskd.models.engines.engine import Runner
from hviskd.models.model import Model
from hviskd.storage import write_json

Facts = dict[str, Any]  # what a user of the exported file must know; JSON
_CHECK_BATCH = 8


def write_onnx(model: Model, facts: Facts, path: Path) -> Runner:
    """Write one ONNX file: `tiles`, uint8 (B, tile_px, tile_px, 3) → `probabilities` (B, K); int8 if the Model is."""
    network = onnx.load_from_string(_onnx(model))
    onnx.helper.set_model_props(network, {"notice": facts["notice"], "hviskd": json.dumps(facts)})
    path.write_bytes(network.SerializeToString())
    return onnxruntime_runner(path.read_bytes())


def write_openvino(model: Model, facts: Facts, folder: Path) -> Runner:
    """Write `model.xml` and `model.bin`, with the same input and output as the ONNX file, and `facts.json`."""
    import openvino  # type: ignore[import-untyped]

    network = openvino.Core().read_model(_onnx(model))
    network.set_rt_info(facts["notice"], ["hviskd", "notice"])
    openvino.save_model(network, folder / "model.xml", compress_to_fp16=False)
    write_json(folder / "facts.json", facts)
    return openvino_runner(
        folder / "model.xml", batch_size=_CHECK_BATCH, tile_px=model.card.tile_px, parallel_batches=1
    )


def write_torchscript(model: Model, facts: Facts, path: Path) -> Runner:
    """Write one TorchScript file: uint8 tiles (B, tile_px, tile_px, 3) → probabilities (B, K)."""
    tile_px = model.card.tile_px
    example = torch.zeros(2, tile_px, tile_px, 3, dtype=torch.uint8)
    script = _save_trace(TileClassifier(model).eval(), example, path, {"hviskd.json": json.dumps(facts)})

    def run(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        return _numpy(script(torch.from_numpy(tiles)))

    return run


def write_wsinfer(model: Model, facts: Facts, folder: Path) -> Runner:
    """Write the files for WSInfer and its QuPath extension: `torchscript_model.pt` and `config.json`.

    The network takes float32 images (B, 3, tile_px, tile_px), scaled as the configuration says, and gives logits; both
    programs apply the softmax themselves. Keys that their schema does not know are allowed at the top.
    """
    card = model.card
    write_json(
        folder / "config.json",
        {
            "spec_version": "1.0",
            "architecture": card.network.name,
            "num_classes": len(card.classes),
            "patch_size_pixels": card.tile_px,
            "spacing_um_px": facts["mpp"],
            "class_names": list(card.classes),
            "transform": [
                {"name": "Resize", "arguments": {"size": card.tile_px}},  # QuPath's extension takes the size from here
                {"name": "ToTensor"},
                {
                    "name": "Normalize",
                    "arguments": {"mean": card.normalisation.mean, "std": card.normalisation.deviation},
                },
            ],
            "notice": facts["notice"],
            "hviskd": facts,
        },
    )
    example = torch.zeros(2, 3, card.tile_px, card.tile_px)
    script = _save_trace(inference_network(model), example, folder / "torchscript_model.pt", {})
    mean, deviation = (
        np.array(values, np.float32) for values in (card.normalisation.mean, card.normalisation.deviation)
    )

    def run(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        images = (tiles.astype(np.float32) / 255 - mean) / deviation
        logits = script(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))))
        return _numpy(torch.softmax(logits, dim=1))

    return run


def _onnx(model: Model) -> bytes:
    return int8_of(model) if model.card.int8 else onnx_of(model)


def _save_trace(module: nn.Module, example: Tensor, path: Path, extra: dict[str, str]) -> Callable[[Tensor], Tensor]:
    """Trace a module on one example as TorchScript, and return what was written, read back.

    It is not frozen, so that it can still be moved to a GPU after loading.
    """
    with warnings.catch_warnings(), torch.inference_mode(mode=False), torch.no_grad():
        # That the checks of an image's size become constants is meant; that TorchScript is old is known.
        warnings.simplefilter("ignore")
        content = BytesIO()  # torch itself would refuse some file names, and not call a full disk an OSError
        # torch's own check would trace it a second time; what was written is compared on other tiles, as every export.
        trace = torch.jit.trace(module, example, check_trace=False)
        torch.jit.save(trace, content, _extra_files=extra)
        path.write_bytes(_without_debugging(content))
        script = torch.jit.load(BytesIO(path.read_bytes()), map_location="cpu")

    def call(batch: Tensor) -> Tensor:
        with torch.no_grad():
            return script(batch)

    return call


def _without_debugging(script: BytesIO) -> bytes:
    """Remove from a TorchScript file its source line references, which contain folder names of the user's computer."""
    kept = BytesIO()
    with ZipFile(script) as old, ZipFile(kept, "w") as new:
        for entry in old.infolist():
            if not entry.filename.endswith(".debug_pkl"):
                new.writestr(entry, old.read(entry))
    return kept.getvalue()


def _numpy(probabilities: Tensor) -> NDArray[np.float32]:
    values: NDArray[np.float32] = probabilities.numpy()
    return values
