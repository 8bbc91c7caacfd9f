"""Runs a Model with torch, on a GPU, or on the CPU for comparison."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hviskd.models.classifier import TileClassifier
from hviskd.models.engines.engine import Runner
from hviskd.models.engines.plan import Plan
from hviskd.models.model import Model

_WARM_UPS = 3  # torch's own advice before a recording: by then every kernel is chosen and all memory taken


def torch_runner(model: Model, plan: Plan) -> Runner:
    """Return a function that runs a batch as planned.

    On CUDA the work of a whole batch is recorded once and replayed: a small network is over sooner than a CPU can
    order its some hundred steps one by one. A smaller batch is then computed among what is left of the one before.
    """
    device = torch.device(plan.device)
    classifier = TileClassifier(model, torch.float16 if plan.precision == "float16" else torch.float32)
    classifier = classifier.to(device).eval()
    with torch.inference_mode():
        waiting = torch.zeros(
            plan.batch_size, model.card.tile_px, model.card.tile_px, 3, dtype=torch.uint8, device=device
        )
        recording = _record(classifier, waiting) if device.type == "cuda" else None

    @torch.inference_mode()
    def run(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        batch = waiting[: len(tiles)]
        batch.copy_(torch.from_numpy(np.require(tiles, requirements="W")))
        if recording is None:
            before = torch.get_num_threads()
            torch.set_num_threads(plan.threads)
            try:
                probabilities = classifier(batch)
            finally:
                torch.set_num_threads(before)
        else:
            graph, full = recording
            graph.replay()
            probabilities = full[: len(tiles)]
        on_cpu: NDArray[np.float32] = probabilities.cpu().numpy()
        return on_cpu

    return run


def _record(classifier: TileClassifier, tiles: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor]:
    """Record the work on one batch; a replay reads the same `tiles` and fills the same result."""
    stream = torch.cuda.Stream(tiles.device)
    stream.wait_stream(torch.cuda.current_stream(tiles.device))
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UPS):
            classifier(tiles)
    torch.cuda.current_stream(tiles.device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        probabilities = classifier(tiles)
    return graph, probabilities
