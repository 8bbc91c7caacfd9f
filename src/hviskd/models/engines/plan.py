"""Decides how a Model can be run on this computer: engine, precision, device, size of a batch and threads."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

from hviskd.errors import ModelError
from hviskd.models.card import ModelCard
from hviskd.models.device import device_name, tiles_on_cpu
from hviskd.models.engines.by_openvino import has_openvino
from hviskd.processor import cpu_kind, usable_cpus

ENGINES = ("onnxruntime", "openvino", "torch")
PRECISIONS = ("float32", "float16", "int8")

# Pixels per batch. The feature maps of two tiles of 150 px stay in the cache of a CPU core from layer to layer.
_PX_IN_CACHE, _PX_ON_GPU = 45_000, 12_000_000
_MOST_TILES = 256


@dataclass(frozen=True)
class Plan:
    """How to run a Model, with nothing left open.

    Attributes:
        name: Of the engine.
        precision: What it calculates with.
        device: `cpu`, `cuda`, `cuda:1` or `mps`.
        batch_size: Tiles per batch.
        threads: Number of CPU threads, each with its own batch (torch: one batch for all).
    """

    name: str
    precision: str
    device: str
    batch_size: int
    threads: int

    @property
    def parallel_batches(self) -> int:
        """Batches that are computed at the same time."""
        return 1 if self.name == "torch" else self.threads

    def stated(self, card: ModelCard) -> str:
        """State what the output depends on beside the Model and the ONNX file, as what a finding is recorded of."""
        variant = f" {card.int8.sha256[:16]}" if self.precision == "int8" and card.int8 else ""
        return f"{self.name} {version(self.name)}, {self.precision}{variant}, {self.batch_size} tiles on {cpu_kind()}"


def possible_plans(
    card: ModelCard, engine: str, precision: str, device: str, batch_size: int | None, threads: int | None
) -> list[Plan]:
    """Resolve every `auto`; two plans, float32 first, where only a trial can tell which is faster.

    Raises:
        ModelError: A name is unknown, the engine is not installed, or it does not run what is asked for.
        HviskdError: The device is not known, or not there.
    """
    for what, asked, known in (("engine", engine, ENGINES), ("precision", precision, PRECISIONS)):
        if asked not in ("auto", *known):
            raise ModelError(f"`{what}={asked!r}`: unknown; choose one of auto, {', '.join(known)}")
    only_cpu = engine in ("onnxruntime", "openvino") or (engine == "auto" and precision == "int8")
    where = "cpu" if device == "auto" and only_cpu else device_name(device)
    return [
        Plan(name, kind, where, batch_size or _tiles_of_batch(name, where, card.tile_px), threads or usable_cpus())
        for name, kind in _choices(card, engine, precision, where)
    ]


def cpu_engine() -> str:
    """Return the fastest installed engine for a CPU."""
    return "openvino" if has_openvino() else "onnxruntime"


def _choices(card: ModelCard, engine: str, precision: str, where: str) -> Iterator[tuple[str, str]]:
    """Yield engines and precisions."""
    if engine == "torch" or (engine == "auto" and (where != "cpu" or precision == "float16")):
        engine = "torch"
        kinds: tuple[str, ...] = ("float32" if where == "cpu" else "float16",)
    else:
        kinds = ("float32", "int8") if card.int8 else ("float32",)
    for kind in kinds if precision == "auto" else (precision,):
        name = cpu_engine() if engine == "auto" else engine
        _require_possible(name, kind, where)
        yield name, kind


def _tiles_of_batch(engine: str, where: str, tile_px: int) -> int:
    """Return the default number of tiles per batch."""
    if where == "cpu" and engine == "torch":
        return tiles_on_cpu(tile_px)
    px = _PX_IN_CACHE if where == "cpu" else _PX_ON_GPU
    return min(_MOST_TILES, max(1, px // tile_px**2))


def _require_possible(engine: str, precision: str, where: str) -> None:
    if precision == ("int8" if engine == "torch" else "float16"):
        raise ModelError(f"{engine} does not support {precision} here; use float32 or another engine")
    if engine != "torch" and where != "cpu":
        raise ModelError(f"{engine} runs on the CPU here; on {where} use torch")
    if engine == "openvino" and not has_openvino():
        raise ModelError("openvino is not installed; install it by pip install openvino, or use onnxruntime")
