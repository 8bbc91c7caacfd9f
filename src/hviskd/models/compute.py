"""How a Model is run: settings of the engine, and an engine that loads while something else is done."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hviskd.checks import require_at_least
from hviskd.processor import usable_cpus

if TYPE_CHECKING:
    from hviskd.models import Model
    from hviskd.models.engines import Engine

_MOST_READERS = 4  # more threads wait for each other rather than for the disk


@dataclass(frozen=True)
class Compute:
    """How to compute; engine and precision may change the numbers, the others only the speed.

    Attributes:
        engine: `auto`, `onnxruntime`, `openvino` or `torch`.
        precision: `auto`, `float32`, `float16` or `int8`.
        device: `auto`, `cpu`, `cuda` or `mps`.
        batch_size: Number of tiles per batch; None: suited to the device. On a CPU each thread computes its own batch
            (torch: one batch for all threads).
        threads: Number of threads for the network; None: one per core.
        workers: Number of threads for reading the slide; None: one per core, at most four.

    Raises:
        DataError: A number is below 1.
    """

    engine: str = "auto"
    precision: str = "auto"
    device: str = "auto"
    batch_size: int | None = None
    threads: int | None = None
    workers: int | None = None

    def __post_init__(self) -> None:
        """Reject invalid values."""
        require_at_least(1, batch_size=self.batch_size, threads=self.threads, workers=self.workers)

    @property
    def readers(self) -> int:
        """Number of threads that read."""
        return self.workers or min(_MOST_READERS, usable_cpus())

    def open(self, model: "Model | Path", *, low_power: bool = False) -> "Engine":
        """Load the Model into the engine, for tiles at low power if asked to.

        Raises:
            ModelError: The Model is damaged, or the engine cannot run it.
        """
        from hviskd.models.engines import open_engine

        return open_engine(
            model,
            self.engine,
            precision=self.precision,
            device=self.device,
            batch_size=self.batch_size,
            threads=self.threads,
            low_power=low_power,
        )


class LateEngine:
    """An engine that is opened in a separate thread, and only when it is needed.

    To load a network takes seconds, in which a slide can be opened; and a cohort that is done needs none.

    Attributes:
        compute: How to compute.
    """

    def __init__(self, compute: Compute, model: "Model | Path", *, low_power: bool = False) -> None:
        self.compute = compute
        self._model, self._low_power = model, low_power
        self._pool = ThreadPoolExecutor(1)
        self._opening: Future[Engine] | None = None

    def start(self) -> None:
        """Start opening it, unless that has started; only one thread at a time may call this."""
        if self._opening is None:
            self._opening = self._pool.submit(self.compute.open, self._model, low_power=self._low_power)

    def __call__(self) -> "Engine":
        """Wait for it.

        Raises:
            ModelError: The Model is damaged, or the engine cannot run it.
        """
        self.start()
        assert self._opening is not None
        return self._opening.result()
