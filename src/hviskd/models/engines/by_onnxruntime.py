"""Runs ONNX on the CPU with onnxruntime."""

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from hviskd.models.engines.engine import INPUT, Runner


def onnxruntime_runner(onnx: bytes) -> Runner:
    """Return a function that runs a batch with an ONNX file, float32 or int8, in the thread that calls it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])

    def run(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        probabilities: NDArray[np.float32] = session.run(None, {INPUT: tiles})[0]
        return probabilities

    return run
