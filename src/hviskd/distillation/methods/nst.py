"""NST (Huang and Wang, 2017): the student's channels should be distributed over a tile as the teacher's are."""

import torch
from pydantic import Field
from torch import Tensor

from hviskd.distillation.maps import to_smaller
from hviskd.distillation.method import Batch, Method, Options, Setting, Trace, paired_shapes
from hviskd.distillation.precision import full_precision
from hviskd.distillation.vectors import unit


class NSTOptions(Options):
    """Weight and stages."""

    weight: float = Field(default=50.0, ge=0, allow_inf_nan=False)
    stages: tuple[tuple[int, int], ...] = Field(default=((1, 1), (2, 2), (3, 3)), min_length=1)


class NST(Method):
    """Squared maximum mean discrepancy of the channels, kernel ⟨x, y⟩², mean over the batch, summed over the pairs.

    There is nothing to adapt: the two networks may have different numbers of channels.
    """

    name = "nst"
    Options = NSTOptions
    needs = frozenset({"teacher"})
    reads_labels = False

    def __init__(self, options: NSTOptions, setting: Setting) -> None:
        super().__init__()
        paired_shapes(setting, options.stages, self.name)
        self.stages = options.stages
        self.weights = {"nst": options.weight}

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `nst`."""
        assert teacher is not None
        losses = []
        for of_teacher, of_student in self.stages:
            theirs, ours = to_smaller(teacher.stages[of_teacher], student.stages[of_student])
            losses.append(channel_discrepancy(ours, theirs))
        return {"nst": torch.stack(losses).sum()}


@full_precision
def channel_discrepancy(student: Tensor, teacher: Tensor) -> Tensor:
    """Return mean k(t, t') + mean k(s, s') − 2 mean k(s, t), k = ⟨x, y⟩², over channels of equal maps (B, C, H, W).

    A channel is the vector of its pixels, of length 1. What is kept is C × C' a tile, never C × C' × pixels.
    """
    ours, theirs = unit(student.flatten(2)), unit(teacher.flatten(2))
    return _kernel(theirs, theirs) + _kernel(ours, ours) - 2 * _kernel(ours, theirs)


def _kernel(these: Tensor, those: Tensor) -> Tensor:
    return (these @ those.transpose(1, 2)).square().mean()
