"""The speed of a Model on this computer, with every available engine."""

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from statistics import median

import numpy as np

from hviskd.errors import ModelError
from hviskd.models import Model
from hviskd.models.engines import Engine, open_engine
from hviskd.processor import cpu_name, usable_cpus

BATCHES = (1, 2, 8, 32, 128)
_GAIN = 1.02  # a larger batch must be faster by this much, or no larger one is tried
_REPEATS = 3
_LIBRARIES = ("torch", "onnxruntime", "openvino", "numpy")


@dataclass(frozen=True)
class Machine:
    """The computer on which rates were measured.

    Attributes:
        cpu: Model name of the processor.
        cores: Processors that the system shows.
        threads: Threads that the engines took.
        gpu: Name of the GPU that torch took; None where there was none.
        system: Operating system.
        versions: Of the libraries that compute.
    """

    cpu: str
    cores: int
    threads: int
    gpu: str | None
    system: str
    versions: dict[str, str]

    def __str__(self) -> str:
        gpu = f", {self.gpu}" if self.gpu else ""
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return f"{self.cpu}, {self.cores} cores, {self.threads} threads{gpu}; {self.system}; {versions}"


@dataclass(frozen=True)
class Rate:
    """Tiles per second of one engine, from pixels in memory to probabilities, without reading a slide.

    Attributes:
        engine: Name of the engine.
        precision: What it calculates with.
        device: Where.
        single: Tiles a second in batches of one.
        best: Tiles a second at the batch size that gave most.
        best_batch: That batch size.
        largest_batch: The largest that was tried: none larger where time was short or nothing was gained.
    """

    engine: str
    precision: str
    device: str
    single: float
    best: float
    best_batch: int
    largest_batch: int

    @property
    def milliseconds(self) -> float:
        """Time per tile at the best batch size, ms."""
        return 1000 / self.best


def rates(
    model: Model, *, threads: int | None = None, seconds: float = 3.0, batches: Sequence[int] = BATCHES
) -> tuple[list[Rate], list[str]]:
    """Measure a Model with every engine available here, and its int8 variant if it has one.

    Args:
        model: What to run.
        threads: Of the CPU; all that this process may use if None.
        seconds: About how long an engine is measured, opening it aside.
        batches: Batch sizes to try, rising, the first 1.

    Returns:
        One rate an engine, and one line for each engine that does not run.
    """
    measured, refused = [], []
    wanted = [("torch", "auto"), ("onnxruntime", "float32"), ("openvino", "float32")]
    if model.card.int8 is not None:
        wanted += [("onnxruntime", "int8"), ("openvino", "int8")]
    for engine, precision in wanted:
        device = "auto" if engine == "torch" else "cpu"
        try:
            measured.append(_rate(model, engine, precision, device, threads, seconds, batches))
        except ModelError as error:
            refused.append(f"{model.card.name}, {engine} {precision}: {error}")
    return measured, refused


def machine(threads: int | None = None) -> Machine:
    """Describe this computer."""
    import torch

    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return Machine(
        cpu=cpu_name(),
        cores=os.cpu_count() or 1,
        threads=threads or usable_cpus(),
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        system=platform.platform(terse=True),
        versions=versions,
    )


def _rate(
    model: Model,
    name: str,
    precision: str,
    device: str,
    threads: int | None,
    seconds: float,
    batches: Sequence[int],
) -> Rate:
    found: dict[int, float] = {}
    calls = 1  # batches that are given at a time
    for batch in batches:
        best = max(found.values(), default=0.0)
        if best and (1 + _REPEATS) * batch * calls / best > seconds:  # it would take too long
            break
        engine = open_engine(model, name, precision=precision, device=device, batch_size=batch, threads=threads)
        calls = engine.tiles_per_call // engine.batch_size
        found[batch] = _tiles_a_second(engine, seconds / len(batches))
        if found[batch] < _GAIN * best:
            break
    best_batch = max(found, key=found.__getitem__)
    return Rate(
        engine=engine.name,
        precision=engine.precision,
        device=engine.device,
        single=found[batches[0]],
        best=found[best_batch],
        best_batch=best_batch,
        largest_batch=max(found),
    )


def _tiles_a_second(engine: Engine, seconds: float) -> float:
    """Return the median over at least three repeats of what is best given at a time, after a warm-up."""
    rng = np.random.default_rng(0)
    tiles = rng.integers(0, 256, (engine.tiles_per_call, engine.tile_px, engine.tile_px, 3), dtype=np.uint8)
    engine(tiles)
    times: list[float] = []
    while len(times) < _REPEATS or sum(times) < seconds:
        start = time.perf_counter()
        engine(tiles)
        times.append(time.perf_counter() - start)
    return engine.tiles_per_call / median(times)
