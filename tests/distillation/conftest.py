"""Traces and settings for methods, without any network."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from hviskd.distillation import Batch, Setting


@dataclass(frozen=True)
class FakeTrace:
    stages: list[Tensor]
    embedding: Tensor | None = None
    logits: Tensor | None = None
    preactivations: list[Tensor] | None = None
    blocks: list[Tensor] | None = None
    last: Tensor | None = None
    class_weights: Tensor | None = None
    class_tokens: list[Tensor] | None = None


@dataclass(frozen=True)
class FakeShapes:
    """Shapes of a trace whose head averages the last stage, and which has one block a stage."""

    stages: list[tuple[int, int, int]]

    @property
    def blocks(self):
        return self.stages[1:]

    @property
    def last(self):
        return self.stages[-1]

    @property
    def embedding(self):
        return self.stages[-1][0]


def shapes_of(maps: list[Tensor]) -> FakeShapes:
    return FakeShapes([tuple(map_.shape[1:]) for map_ in maps])


SHAPES_TEACHER = [(8, 12, 12), (8, 12, 12), (12, 6, 6), (16, 5, 5)]
SHAPES_STUDENT = [(4, 9, 9), (6, 9, 9), (6, 5, 5), (16, 3, 3)]


def draw_trace(shapes, *, samples=6, classes=5, seed=0, dtype=torch.float32) -> FakeTrace:
    generator = torch.Generator().manual_seed(seed)
    stages = [torch.randn((samples, *shape), generator=generator, dtype=dtype) for shape in shapes]
    logits = 3 * torch.randn((samples, classes), generator=generator, dtype=dtype)
    return FakeTrace(
        stages,
        embedding=stages[-1].mean(dim=(2, 3)),
        logits=logits,
        preactivations=stages,
        blocks=stages[1:],
        last=stages[-1],
        class_weights=torch.randn((classes, stages[-1].shape[1]), generator=generator, dtype=dtype),
    )


def draw_batch(samples=6, classes=5) -> Batch:
    return Batch(torch.zeros(samples, 3, 4, 4), torch.arange(samples) % classes, torch.arange(samples))


@pytest.fixture
def setting() -> Setting:
    return Setting(FakeShapes(SHAPES_STUDENT), FakeShapes(SHAPES_TEACHER), num_classes=5, labels=torch.arange(60) % 5)
