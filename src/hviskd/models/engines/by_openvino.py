"""Runs ONNX on the CPU with OpenVINO, an optional library."""

from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hviskd.models.engines.engine import Runner

# OpenVINO's very first batch must be over before two threads run batches: where both prepare for arrays of NumPy, they
# may wait for each other for ever (seen with 2026.4.1, one inside pybind11 with the interpreter's lock).
_FIRST_USE = Lock()


def has_openvino() -> bool:
    """Return whether OpenVINO is installed."""
    return find_spec("openvino") is not None


def openvino_runner(network: bytes | Path, *, batch_size: int, tile_px: int, parallel_batches: int) -> Runner:
    """Return a function that runs a batch with a network, float32 or int8, from ONNX content or OpenVINO's own file.

    Each batch takes one thread, and `parallel_batches` of them run at the same time.

    The network is compiled for batches of exactly `batch_size`: for batches of any size OpenVINO fuses less of an
    int8 network, which costs speed and accuracy. A smaller batch is filled up.
    """
    import openvino  # type: ignore[import-untyped]

    core = openvino.Core()
    read = core.read_model(network)
    read.reshape([batch_size, tile_px, tile_px, 3])
    settings = {
        "INFERENCE_PRECISION_HINT": "f32",  # where the CPU has bfloat16 it would be taken, unasked
        "INFERENCE_NUM_THREADS": parallel_batches,
        "NUM_STREAMS": parallel_batches,
        "ENABLE_CPU_PINNING": False,  # or two processes would share the first core while another is idle
    }
    compiled = core.compile_model(read, "CPU", settings)
    idle: SimpleQueue[Any] = SimpleQueue()
    for _ in range(parallel_batches):
        idle.put(compiled.create_infer_request())

    def run(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        request = idle.get()
        try:
            request.get_input_tensor(0).data[: len(tiles)] = (
                tiles  # its own memory, so that it keeps none of the caller's
            )
            request.infer()
            probabilities: NDArray[np.float32] = request.get_output_tensor(0).data[: len(tiles)].copy()
        finally:
            idle.put(request)
        return probabilities

    with _FIRST_USE:
        run(np.zeros((1, tile_px, tile_px, 3), np.uint8))
    return run
