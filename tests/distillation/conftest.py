"""Traces and settings for methods, without any network."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from hviskd.distillation import Batch, Setting


@dataclass(frozen=True)
class FakeTrace:
    stages: list[Tensor]
    embedding: Tensor
    logits: Tensor
    preactivations: list[Tensor] | None = None


SHAPES_TEACHER = [(8, 12, 12), (8, 12, 12), (12, 6, 6), (16, 5, 5)]
SHAPES_STUDENT = [(4, 9, 9), (6, 9, 9), (6, 5, 5), (16, 3, 3)]


def draw_trace(shapes, *, samples=6, classes=5, seed=0, dtype=torch.float32) -> FakeTrace:
    generator = torch.Generator().manual_seed(seed)
    stages = [torch.randn((samples, *shape), generator=generator, dtype=dtype) for shape in shapes]
    return FakeTrace(
        stages,
        embedding=stages[-1].mean(dim=(2, 3)),
        logits=3 * torch.randn((samples, classes), generator=generator, dtype=dtype),
        preactivations=stages,
    )


def draw_batch(samples=6, classes=5) -> Batch:
    return Batch(torch.zeros(samples, 3, 4, 4), torch.arange(samples) % classes, torch.arange(samples))


@pytest.fixture
def setting() -> Setting:
    return Setting(SHAPES_STUDENT, SHAPES_TEACHER, num_classes=5, labels=torch.arange(60) % 5)
