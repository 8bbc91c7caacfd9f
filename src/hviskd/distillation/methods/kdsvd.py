"""KDSVD (Lee, Kim and Song, ECCV 2018): how the main direction of the feature maps changes from stage to stage.

The student takes over the teacher's change; the directions are right singular vectors of each map as a matrix.
"""

from itertools import pairwise
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from hviskd.distillation.maps import to_smaller
from hviskd.distillation.method import Batch, Method, Options, Setting, Shape, Trace, paired_shapes
from hviskd.distillation.precision import full_precision
from hviskd.distillation.vectors import unit
from hviskd.errors import RecipeError

Matrix = Literal["rep", "md"]

_SPARE = 3  # further student vectors, among which the one nearest to the teacher's is taken
_CLOSE = 1e-4  # of the largest eigenvalue; a gradient does not tell eigenvalues apart that are nearer


class KDSVDOptions(Options):
    """Weight, stages and what is decomposed.

    Attributes:
        weight: That of mdistiller; no other was published with a result.
        stages: Pairs (teacher stage, student stage), two at least; 0 is the stem.
        vectors: Singular vectors a map.
        variant: `rep`, as the paper and RepDistiller: pixels × channels, so that a vector has one entry a channel and
            both stages of a pair must have as many. `md`, as mdistiller: (channels · rows) × columns, one entry a
            column, for any two networks. They are different methods.
    """

    stages: tuple[tuple[int, int], ...] = Field(default=((1, 1), (2, 2), (3, 3)), min_length=2)
    vectors: int = Field(default=1, ge=1, le=16)
    variant: Matrix = "rep"


class KDSVD(Method):
    """Σ (exp(−(v − w)² / 8)_s − exp(−(v − w)² / 8)_t)², mean over the batch, summed over consecutive stages.

    v and w are entries of the vectors of one stage and of the one before, and every pair of entries counts. A vector's
    sign means nothing, so the teacher's are turned to a sum above zero and the student's to the teacher's. It costs one
    eigendecomposition a tile, stage and network.
    """

    name = "kdsvd"
    Options = KDSVDOptions
    needs = frozenset({"teacher"})
    reads_labels = False

    def __init__(self, options: KDSVDOptions, setting: Setting) -> None:
        super().__init__()
        for pair, (theirs, ours) in zip(options.stages, paired_shapes(setting, options.stages, self.name), strict=True):
            _require_enough(options, pair, theirs, ours)
        self.options = options
        self.weights = {"kdsvd": options.weight}

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `kdsvd`."""
        assert teacher is not None
        directions = []
        for of_teacher, of_student in self.options.stages:
            theirs, ours = to_smaller(teacher.stages[of_teacher], student.stages[of_student])
            directions.append(main_directions(ours, theirs, self.options.vectors, self.options.variant))
        losses = [
            (_changes(ours, ours_before) - _changes(theirs, theirs_before)).square().sum(dim=(1, 2, 3)).mean()
            for (ours_before, theirs_before), (ours, theirs) in pairwise(directions)
        ]
        return {"kdsvd": torch.stack(losses).sum()}


@full_precision
def main_directions(student: Tensor, teacher: Tensor, count: int, variant: Matrix) -> tuple[Tensor, Tensor]:
    """Return `count` right singular vectors (B, n, count) of the student's and the teacher's maps (B, C, H, W).

    Each of the teacher's, the main one first, is met by the student's that is nearest up to its sign; both are times
    the teacher's singular value, those in turn of length 1. The teacher gets no gradient.
    """
    with torch.no_grad():
        theirs, values = _SingularVectors.apply(_matrices(teacher, variant), count)
        theirs = theirs * _sign(theirs.sum(dim=1, keepdim=True))
        strength = unit(values)[:, None]
    ours, _ = _SingularVectors.apply(_matrices(student, variant), count + _SPARE)
    cosines = ours.transpose(1, 2) @ theirs
    nearest = cosines.detach().abs().argmax(dim=1, keepdim=True)
    ours = ours.gather(2, nearest.expand(-1, ours.shape[1], -1)) * _sign(cosines.gather(1, nearest))
    return ours * strength, theirs * strength


def _changes(vectors: Tensor, before: Tensor) -> Tensor:
    """Return (B, n, m, count) of vectors (B, n, count) and those of the previous stage (B, m, count)."""
    return (-(vectors[:, :, None] - before[:, None]).square() / 8).exp()


def _matrices(maps: Tensor, variant: Matrix) -> Tensor:
    return maps.flatten(2).transpose(1, 2) if variant == "rep" else maps.flatten(1, 2)


def _sign(numbers: Tensor) -> Tensor:
    return torch.where(numbers.detach() < 0, -1.0, 1.0).to(numbers.dtype)


class _SingularVectors(torch.autograd.Function):
    """Return the k largest singular values (B, k) and right singular vectors (B, n, k) of matrices (B, m, n).

    They are eigenvectors of the n × n Gram matrix. The gradient of one divides by its eigenvalue's gap to every other;
    here gap / (gap² + ε²) stands in for 1 / gap, so that close values cannot blow it up. The values have no gradient.
    """

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, matrices: Tensor, count: int) -> tuple[Tensor, Tensor]:
        gram = matrices.transpose(1, 2) @ matrices
        finite = gram.isfinite().flatten(1).all(dim=1)[:, None, None]
        # A diverged network is to end in a loss that is not a number, not in an eigensolver's complaint.
        squares, vectors = torch.linalg.eigh(torch.where(finite, gram, 0.0))
        squares, vectors = squares.flip(1), torch.where(finite, vectors.flip(2), torch.nan)
        ctx.save_for_backward(matrices, squares, vectors)
        values = squares[:, :count].clamp(min=0).sqrt()
        ctx.mark_non_differentiable(values)
        return vectors[:, :, :count].contiguous(), values

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None]:
        matrices, squares, vectors = ctx.saved_tensors  # type: ignore[attr-defined]
        wanted = grads[0]
        count = wanted.shape[2]
        gaps = squares[:, None, :count] - squares[:, :, None]
        close = _CLOSE * squares[:, :1, None] + torch.finfo(squares.dtype).tiny ** 0.5
        mixing = vectors.transpose(1, 2) @ wanted * gaps / (gaps.square() + close.square())
        of_gram = vectors @ mixing @ vectors[:, :, :count].transpose(1, 2)
        return matrices @ (of_gram + of_gram.transpose(1, 2)), None


def _require_enough(options: KDSVDOptions, pair: tuple[int, int], teacher: Shape, student: Shape) -> None:
    if options.variant == "rep" and teacher[0] != student[0]:
        raise RecipeError(
            f"methods.kdsvd.stages: teacher stage {pair[0]} has {teacher[0]} channels and student stage {pair[1]} "
            f"{student[0]}, but variant rep needs equal numbers; use variant: md, or stages of equal width"
        )
    entries = teacher[0] if options.variant == "rep" else min(teacher[2], student[2])
    if entries < options.vectors + _SPARE:
        raise RecipeError(
            f"methods.kdsvd.stages: the pair {pair[0]}, {pair[1]} has {entries} singular vectors, and "
            f"{options.vectors + _SPARE} are needed; remove the pair or use larger tiles"
        )
