"""FSP (Yim et al., CVPR 2017): relations between the channels of consecutive stages should be as for the teacher."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from hviskd.distillation.maps import to_smaller
from hviskd.distillation.method import Batch, Method, Options, Setting, Trace, paired_shapes
from hviskd.distillation.precision import full_precision
from hviskd.errors import RecipeError


class FSPOptions(Options):
    """Weight and stages.

    Attributes:
        weight: The public code's, for a mean over all entries of a matrix.
        stages: Pairs (teacher stage, student stage) from shallow to deep, of equal width; 0 is the stem. Each matrix
            relates two that stand beside each other here.
    """

    weight: float = Field(default=50.0, ge=0, allow_inf_nan=False)
    stages: tuple[tuple[int, int], ...] = Field(default=((0, 0), (1, 1), (2, 2), (3, 3)), min_length=2)


class FSP(Method):
    """Mean squared difference of the matrices between consecutive stages, summed over the stages.

    Meant for a stage before the main one, as in the preset `fsp`. It learns no adapter, so both networks must have the
    same widths.
    """

    name = "fsp"
    Options = FSPOptions
    needs = frozenset({"teacher"})
    reads_labels = False

    def __init__(self, options: FSPOptions, setting: Setting) -> None:
        super().__init__()
        self.stages = options.stages
        for pair, (theirs, ours) in zip(options.stages, paired_shapes(setting, options.stages, self.name), strict=True):
            if theirs[0] != ours[0]:
                raise RecipeError(
                    f"methods.fsp: stage {pair[0]} of the teacher has {theirs[0]} channels and stage {pair[1]} of the "
                    f"student {ours[0]}, but FSP needs equal numbers; remove the pair from stages, use "
                    "networks of one family and width, or use a method with adapters, for example vid"
                )
        self.weights = {"fsp": options.weight}

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `fsp`."""
        assert teacher is not None
        losses = []
        for (teacher_in, student_in), (teacher_out, student_out) in pairwise(self.stages):
            theirs = flow(teacher.stages[teacher_in], teacher.stages[teacher_out])
            losses.append(F.mse_loss(flow(student.stages[student_in], student.stages[student_out]), theirs))
        return {"fsp": torch.stack(losses).sum()}


@full_precision
def flow(shallow: Tensor, deep: Tensor) -> Tensor:
    """Return the products of two maps' channels, mean over pixels: (B, C, H, W), (B, C', H', W') → (B, C, C').

    The larger map is averaged down to the smaller, as in the public code; the paper takes maxima.
    """
    shallow, deep = to_smaller(shallow, deep)
    vectors = deep.flatten(2)
    return shallow.flatten(2) @ vectors.transpose(1, 2) / vectors.shape[2]
