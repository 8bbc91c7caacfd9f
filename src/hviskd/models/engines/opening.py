"""Selects, builds and checks an engine."""

from dataclasses import replace
from importlib.metadata import version

import torch

from hviskd.checks import require_at_least
from hviskd.errors import ModelError
from hviskd.models.checking import largest_difference, require_agreement
from hviskd.models.device import pick_device
from hviskd.models.engines.by_onnxruntime import onnxruntime_runner
from hviskd.models.engines.by_openvino import has_openvino, openvino_runner
from hviskd.models.engines.conversion import int8_of, keep_check, onnx_of
from hviskd.models.engines.engine import Engine, Runner
from hviskd.models.engines.threads import usable_cpus
from hviskd.models.model import Model

ENGINES = ("onnxruntime", "openvino", "torch")
PRECISIONS = ("float32", "float16", "int8")


def open_engine(
    model: Model,
    engine: str = "auto",
    *,
    precision: str = "auto",
    device: str = "auto",
    batch_size: int = 64,
    threads: int | None = None,
) -> Engine:
    """Open the fastest engine for a Model on this computer, or one by name, and check it against torch.

    Which engine: on a GPU torch; on the CPU onnxruntime, or OpenVINO for int8 where it is installed. Which
    precision: float16 on a GPU; on the CPU int8 where the Model has an int8 variant, else float32.

    Args:
        model: The Model, which is not changed.
        engine: `auto`, `onnxruntime`, `openvino` or `torch`.
        precision: `auto`, `float32`, `float16` (torch only) or `int8` (onnxruntime and OpenVINO only).
        device: `auto`, `cpu`, `cuda` or `mps`; all but `cpu` are torch's.
        batch_size: Number of tiles per batch.
        threads: On the CPU; all that this process may use if None.

    Raises:
        ModelError: The engine differs from torch by too much, does not run what is asked for, or is not installed.
        DataError: `batch_size` or `threads` is below 1.
        HviskdError: The device is not known, or not there.
    """
    require_at_least(1, batch_size=batch_size, threads=threads)
    name, precision, where = _choose(model, engine, precision, device)
    threads = threads or usable_cpus()
    run: Runner
    if name == "torch":
        from hviskd.models.engines.by_torch import torch_runner

        dtype = torch.float16 if precision == "float16" else torch.float32
        run = torch_runner(model, device=where, dtype=dtype, batch_size=batch_size, threads=threads)
    else:
        onnx = int8_of(model) if precision == "int8" else onnx_of(model)
        run = cpu_runner(name, onnx, batch_size=batch_size, tile_px=model.card.tile_px, threads=threads)
    opened = measured(
        model, run, name=name, precision=precision, device=where.type, batch_size=batch_size, threads=threads
    )
    remedy = "use float32" if precision != "float32" else "use torch" if name != "torch" else "use another device"
    require_agreement(model, str(opened), precision, opened.largest_difference, f"{remedy} on this computer")
    if name != "torch" and precision == "float32":
        keep_check(model, f"{opened.name} {opened.version}", opened.largest_difference)
    return opened


def int8_engine() -> str:
    """Return the fastest installed engine for int8."""
    return "openvino" if has_openvino() else "onnxruntime"


def cpu_runner(name: str, onnx: bytes, *, batch_size: int, tile_px: int, threads: int) -> Runner:
    """Return a function that runs batches with an ONNX file on the CPU, by `onnxruntime` or `openvino`."""
    if name == "onnxruntime":
        return onnxruntime_runner(onnx, threads=threads)
    return openvino_runner(onnx, batch_size=batch_size, tile_px=tile_px, threads=threads)


def measured(
    model: Model, run: Runner, *, name: str, precision: str, device: str, batch_size: int, threads: int
) -> Engine:
    """Make an Engine from a function that runs a batch, and measure its difference from torch, without judging it."""
    engine = Engine(
        name=name,
        version=version(name),
        precision=precision,
        device=device,
        threads=threads,
        batch_size=batch_size,
        tile_px=model.card.tile_px,
        num_classes=len(model.card.classes),
        largest_difference=float("nan"),
        run=run,
    )
    return replace(engine, largest_difference=largest_difference(model, engine))


def _choose(model: Model, engine: str, precision: str, device: str) -> tuple[str, str, torch.device]:
    """Resolve every `auto`, and reject combinations that are not possible."""
    for what, asked, known in (("engine", engine, ENGINES), ("precision", precision, PRECISIONS)):
        if asked not in ("auto", *known):
            raise ModelError(f"`{what}={asked!r}`: unknown; choose one of auto, {', '.join(known)}")
    only_cpu = engine in ("onnxruntime", "openvino") or (engine == "auto" and precision == "int8")
    where = torch.device("cpu") if device == "auto" and only_cpu else pick_device(device)
    if engine == "torch" or (engine == "auto" and (where.type != "cpu" or precision == "float16")):
        engine = "torch"
        precision = ("float32" if where.type == "cpu" else "float16") if precision == "auto" else precision
    else:
        precision = ("int8" if model.card.int8 else "float32") if precision == "auto" else precision
        engine = (int8_engine() if precision == "int8" else "onnxruntime") if engine == "auto" else engine
    _require_possible(engine, precision, where)
    return engine, precision, where


def _require_possible(engine: str, precision: str, where: torch.device) -> None:
    if precision == ("int8" if engine == "torch" else "float16"):
        raise ModelError(f"{engine} does not support {precision} here; use float32 or another engine")
    if engine != "torch" and where.type != "cpu":
        raise ModelError(f"{engine} runs on the CPU here; on {where.type} use torch")
    if engine == "openvino" and not has_openvino():
        raise ModelError("openvino is not installed; install it by pip install openvino, or use onnxruntime")
