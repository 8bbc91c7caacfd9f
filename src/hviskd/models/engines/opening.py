"""Builds and checks an engine; torch is loaded only to run a Model, or to convert and check it for the first time."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hviskd.arrays import Floats32
from hviskd.checks import require_at_least
from hviskd.models.card import ModelCard
from hviskd.models.checking import agrees, check_tiles, largest_difference, require_agreement, torch_answers
from hviskd.models.engines.by_openvino import openvino_runner
from hviskd.models.engines.engine import Engine, Runner
from hviskd.models.engines.kept import CheckRecord, kept_onnx
from hviskd.models.engines.plan import Plan, possible_plans
from hviskd.models.engines.trial import fastest
from hviskd.models.finding import AnyModel, find_model, load_model
from hviskd.models.folder import read_int8, require_whole

if TYPE_CHECKING:
    from hviskd.models.model import Model

_DIFFERENCE, _FASTEST = "largest_difference_to_torch", "fastest"  # the findings that are recorded


class _Source:
    """A Model, or the folder it is loaded from as soon as torch is needed; with `low_power` as it reads such tiles."""

    def __init__(self, model: AnyModel, *, low_power: bool) -> None:
        self._found, self._own = find_model(model)
        self._low_power = low_power
        self.card = self._own.at_low_power() if low_power else self._own
        self.folder = self._found if isinstance(self._found, Path) else self._found.folder

    def load(self) -> "Model":
        """Return the Model with its network."""
        self._found = load_model(self._found)
        return self._found.at_low_power() if self._low_power else self._found

    def onnx(self, precision: str) -> bytes:
        """Return the network as ONNX: its int8 variant, or its conversion, which is made where none is kept."""
        if isinstance(self._found, Path):
            require_whole(self.folder, self._own)
        content = read_int8(self.folder, self.card) if precision == "int8" else kept_onnx(self.card)
        if content is None:
            from hviskd.models.engines.conversion import onnx_of

            content = onnx_of(self.load())
        return content

    def require_runnable(self, content: bytes, precision: str) -> None:
        """Reject an int8 variant that is no classifier of the card's tiles, before it is run for the first time."""
        if precision == "int8":
            from hviskd.models.engines.conversion import require_int8

            require_int8(content, self.card, self.folder)

    def answers(self) -> Floats32:
        """Return torch's answers on the check tiles."""
        return torch_answers(self.load())


def open_engine(
    model: AnyModel,
    engine: str = "auto",
    *,
    precision: str = "auto",
    device: str = "auto",
    batch_size: int | None = None,
    threads: int | None = None,
    low_power: bool = False,
) -> Engine:
    """Open the fastest engine for a Model on this computer, or one by name, and check it against torch.

    Which engine: on a GPU torch; on the CPU OpenVINO where it is installed, else onnxruntime. Which precision: float16
    on a GPU; on the CPU float32, or int8 where the Model has an int8 variant and a trial of two seconds shows that it
    is at least 10 % faster. Results are cached until the Model, engine, its version or the CPU changes.

    Args:
        model: The Model, which is not changed.
        engine: `auto`, `onnxruntime`, `openvino` or `torch`.
        precision: `auto`, `float32`, `float16` (torch only) or `int8` (onnxruntime and OpenVINO only).
        device: `auto`, `cpu`, `cuda` or `mps`; all but `cpu` are torch's.
        batch_size: Number of tiles per batch; suited to the device if None.
        threads: Number of CPU threads, each with its own batch (torch: one batch for all); all that this process may
            use if None.
        low_power: For tiles at low power, of half the px; never in int8, whose variant reads tiles at full power.

    Raises:
        ModelError: The Model is damaged, or the engine differs from torch by too much, does not run what is asked for,
            or is not installed.
        DataError: `batch_size` or `threads` is below 1.
        HviskdError: The device is not known, or not there.
    """
    require_at_least(1, batch_size=batch_size, threads=threads)
    source = _Source(model, low_power=low_power)
    plans = possible_plans(source.card, engine, precision, device, batch_size, threads)
    record = CheckRecord(source.card)
    if len(plans) == 1:
        return _opened(source, plans[0], record)
    return _faster(source, plans, record)


def cpu_runner(plan: Plan, onnx: bytes, tile_px: int) -> Runner:
    """Return a function that runs batches with an ONNX file on the CPU, by onnxruntime or OpenVINO."""
    if plan.name == "openvino":
        return openvino_runner(
            onnx, batch_size=plan.batch_size, tile_px=tile_px, parallel_batches=plan.parallel_batches
        )
    from hviskd.models.engines.by_onnxruntime import onnxruntime_runner

    return onnxruntime_runner(onnx)


def measured(card: ModelCard, plan: Plan, run: Runner, answers: Floats32) -> Engine:
    """Make an Engine from a function that runs a batch, and measure its difference from torch, without judging it."""
    engine = _engine(card, plan, run)
    return replace(engine, largest_difference=largest_difference(card, answers, engine))


def _faster(source: _Source, plans: Sequence[Plan], record: CheckRecord) -> Engine:
    """Open the faster of several plans: the one that won a trial on this computer before, or else wins one now."""
    stated = [f"{plan.stated(source.card)}, {plan.threads} threads" for plan in plans]
    among = " or ".join(stated)
    won = record.known(_FASTEST, among)
    if won in stated:
        return _opened(source, plans[stated.index(won)], record)
    engines = [_opened(source, plan, record) for plan in plans]
    tile_px = source.card.tile_px
    place = fastest(engines, np.resize(check_tiles(source.card), (engines[0].tiles_per_call, tile_px, tile_px, 3)))
    record.keep(_FASTEST, among, stated[place])
    return engines[place]


def _opened(source: _Source, plan: Plan, record: CheckRecord) -> Engine:
    """Open an engine, and check its difference from torch."""
    card = source.card
    if plan.name == "torch":
        from hviskd.models.engines.by_torch import torch_runner

        opened = measured(card, plan, torch_runner(source.load(), plan), record.answers(source.answers))
    else:
        opened = _opened_onnx(source, plan, record)
    other = "float32" if plan.precision != "float32" else "torch" if plan.name != "torch" else "another device"
    difference, remedy = opened.largest_difference, f"use {other} on this computer"
    require_agreement(source.folder, card, str(opened), plan.precision, difference, remedy)
    return opened


def _opened_onnx(source: _Source, plan: Plan, record: CheckRecord) -> Engine:
    """Open an engine that runs an ONNX file, and measure its difference from torch unless this very file passed before.

    Only what passed is recorded, so that a file that did not is measured each time, and its repair is noticed.
    """
    card, content = source.card, source.onnx(plan.precision)
    stated = f"{plan.stated(card)}, ONNX {hashlib.sha256(content).hexdigest()}"
    known = record.known(_DIFFERENCE, stated)
    passed = isinstance(known, float) and agrees(card, plan.precision, known)
    if not passed:
        source.require_runnable(content, plan.precision)
    run = cpu_runner(plan, content, card.tile_px)
    if passed:
        return replace(_engine(card, plan, run), largest_difference=known)
    opened = measured(card, plan, run, record.answers(source.answers))
    if agrees(card, plan.precision, opened.largest_difference):
        record.keep(_DIFFERENCE, stated, opened.largest_difference)
    return opened


def _engine(card: ModelCard, plan: Plan, run: Runner) -> Engine:
    """Make an Engine whose difference from torch is not known yet."""
    return Engine(
        name=plan.name,
        version=version(plan.name),
        precision=plan.precision,
        device=plan.device.partition(":")[0],
        threads=plan.threads,
        batch_size=plan.batch_size,
        parallel_batches=plan.parallel_batches,
        tile_px=card.tile_px,
        num_classes=len(card.classes),
        largest_difference=float("nan"),
        run=run,
    )
