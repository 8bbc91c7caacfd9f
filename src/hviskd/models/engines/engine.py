"""The common interface of all engines."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hviskd.errors import ModelError
from hviskd.threads import in_threads

INPUT, OUTPUT = "tiles", "probabilities"  # what a network's ONNX file calls them

# One batch: uint8 tiles (B, tile_px, tile_px, 3) lying contiguously, 1 ≤ B ≤ batch_size → float32 (B, K), in memory of
# its own. Up to `parallel_batches` threads may call it at the same time.
Runner = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

# Per thread and call: enough that a thread seldom waits for the last batch of another, but at least one batch.
_BATCHES_A_THREAD, _PX_A_THREAD = 8, 360_000


@dataclass(frozen=True)
class Engine:
    """A Model ready to classify tiles; only one thread at a time may call it.

    Attributes:
        name: `onnxruntime`, `openvino` or `torch`.
        version: Version of that library.
        precision: `float32`, `float16` or `int8`: what it calculates with.
        device: `cpu`, `cuda` or `mps`.
        threads: Threads of the CPU that it takes.
        batch_size: Tiles per batch; other numbers are divided into batches of this size.
        parallel_batches: Batches that are computed at the same time.
        tile_px: Side of the tiles.
        num_classes: K.
        largest_difference: Of a probability to torch's in float32, on the tiles it was checked with.
        run: What computes one batch.
    """

    name: str
    version: str
    precision: str
    device: str
    threads: int
    batch_size: int
    parallel_batches: int
    tile_px: int
    num_classes: int
    largest_difference: float
    run: Runner

    def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return class probabilities (B, K) for uint8 RGB tiles (B, tile_px, tile_px, 3), for any B.

        Raises:
            ModelError: The tiles do not have the size or type that the Model reads.
        """
        expected = (self.tile_px, self.tile_px, 3)
        if tiles.ndim != 4 or tiles.shape[1:] != expected or tiles.dtype != np.uint8:
            raise ModelError(
                f"this Model needs uint8 tiles of shape (B, {', '.join(map(str, expected))}), "
                f"not {tiles.dtype} {tiles.shape}"
            )
        starts = range(0, len(tiles), self.batch_size)
        batches = (np.ascontiguousarray(tiles[start : start + self.batch_size]) for start in starts)
        threads = min(self.parallel_batches, len(starts))
        answers = (
            in_threads(self.run, batches, threads=threads, ahead=2 * threads) if threads > 1 else map(self.run, batches)
        )
        return np.concatenate([np.empty((0, self.num_classes), np.float32), *answers])

    @property
    def tiles_per_call(self) -> int:
        """Number of tiles to pass in one call, so that all threads are busy."""
        batches = min(_BATCHES_A_THREAD, _PX_A_THREAD // (self.batch_size * self.tile_px**2))
        return self.batch_size * self.parallel_batches * max(1, batches)

    def __str__(self) -> str:
        threads = f", {self.threads} thread{'s' * (self.threads != 1)}" if self.device == "cpu" else ""
        return f"{self.name} {self.version}, {self.precision} on {self.device}{threads}"
