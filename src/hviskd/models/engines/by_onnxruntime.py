"""Runs ONNX on the CPU with onnxruntime."""

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from hviskd.models.engines.engine import INPUT, Runner


def onnxruntime_runner(onnx: bytes, *, threads: int) -> Runner:
    """Return a function that runs a batch with an ONNX file, float32 or int8."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    # Threads that spin while they wait would take the cores from those that read and decode the next tiles.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])

    def run(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = session.run(None, {INPUT: tiles})[0]
        return probabilities

    return run
