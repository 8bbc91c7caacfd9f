"""ReviewKD (Chen et al., CVPR 2021): each teacher map is compared with the student's map fused with all deeper ones."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from hviskd.distillation.maps import to_smaller
from hviskd.distillation.method import Batch, Method, Setting, Trace, paired_shapes
from hviskd.distillation.precision import full_precision
from hviskd.distillation.warmup import WarmedOptions

_LEVELS = (4, 2, 1)


class ReviewKDOptions(WarmedOptions):
    """Weight, stages and width; with a warm-up.

    Attributes:
        weight: The authors' for resnet32x4 → resnet8x4; they take 0.6 to 8 from pair to pair, so tune it.
        stages: Pairs (teacher stage, student stage) from shallow to deep; 0 is the stem.
        narrowing: Maps are fused in the channels of the student's last map divided by this. The paper names no width;
            the authors' code does not narrow (1), which makes a step two to four times as dear as one of KD.
    """

    weight: float = Field(default=5.0, ge=0, allow_inf_nan=False)
    stages: tuple[tuple[int, int], ...] = Field(default=((1, 1), (2, 2), (3, 3)), min_length=1)
    narrowing: int = Field(default=4, ge=1, le=64)


class ReviewKD(Method):
    """Hierarchical distance of every fused map of the student from the teacher's map before activation.

    The mean of the last map comes first, as a map of 1 × 1; going up, each of the student's maps is fused with what
    came from below. Maps have the size of the smaller side of a pair, where the authors always take the teacher's.
    """

    name = "reviewkd"
    Options = ReviewKDOptions
    needs = frozenset({"teacher", "preactivations"})
    reads_labels = False

    def __init__(self, options: ReviewKDOptions, setting: Setting) -> None:
        super().__init__()
        assert setting.teacher is not None
        self.options = options
        shapes = paired_shapes(setting, options.stages, self.name)
        width = max(1, setting.student.last[0] // options.narrowing)
        self.deepest = _Fusion(setting.student.last[0], width, setting.teacher.last[0], fuses=False)
        self.fusions = nn.ModuleList(_Fusion(ours[0], width, theirs[0], fuses=True) for theirs, ours in shapes)
        self.weights = {"reviewkd": options.weight}

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `reviewkd`, weighted by the warm-up."""
        assert teacher is not None
        assert teacher.preactivations is not None
        theirs, below = (F.adaptive_avg_pool2d(trace.last, 1) for trace in (teacher, student))
        ours, below = self.deepest(below, None, theirs)
        losses = [hierarchical_distance(ours, theirs)]
        for fusion, (of_teacher, of_student) in zip(reversed(self.fusions), reversed(self.options.stages), strict=True):
            target, maps = teacher.preactivations[of_teacher], student.stages[of_student]
            ours, below = fusion(maps, below, target)
            losses.append(hierarchical_distance(ours, to_smaller(target, ours)[0]))
        return {"reviewkd": torch.stack(losses).sum() * self.options.warmth(batch.progress)}


class _Fusion(nn.Module):
    """Fuses a map with the deeper one by attention, and adapts it to the teacher's width."""

    def __init__(self, width_in: int, width: int, width_out: int, *, fuses: bool) -> None:
        super().__init__()
        self.narrow = _convolution(width_in, width, 1)
        self.attention = nn.Conv2d(2 * width, 2, kernel_size=1) if fuses else None
        self.widen = _convolution(width, width_out, 3)

    def forward(self, maps: Tensor, below: Tensor | None, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the map (B, C', H', W') to compare with the target, and the fused map (B, width, H', W') to pass on.

        Args:
            maps: The student's map (B, C, H, W).
            below: The fused map of the stage below, or None at the deepest.
            target: The teacher's map; H' and W' are the smaller of its sides and of the student's.
        """
        fused = self.narrow(to_smaller(target, maps)[1])
        if self.attention is not None:
            assert below is not None
            # As one convolution of both maps side by side, but over the deeper one while it is small.
            own, deeper = self.attention.weight.chunk(2, dim=1)
            logits = F.conv2d(fused, own, self.attention.bias) + _enlarged(F.conv2d(below, deeper), fused)
            share = logits.sigmoid()
            fused = torch.addcmul(fused * share[:, :1], _enlarged(below, fused), share[:, 1:])
        return self.widen(fused), fused


@full_precision
def hierarchical_distance(student: Tensor, teacher: Tensor, levels: Sequence[int] = _LEVELS) -> Tensor:
    """Compare maps (B, C, H, W) at full size and averaged to each level's side, if that is smaller.

    The mean squared differences are averaged with the weights 1, ½, ¼, ….
    """
    apart = student - teacher
    sides = [side for side in levels if side < min(apart.shape[2:])]
    losses = [apart.square().mean(), *(F.adaptive_avg_pool2d(apart, side).square().mean() for side in sides)]
    weights = [0.5**position for position in range(len(losses))]
    return torch.stack([weight * loss for weight, loss in zip(weights, losses, strict=True)]).sum() / sum(weights)


def _enlarged(maps: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(maps, size=like.shape[2:], mode="nearest")


def _convolution(width_in: int, width_out: int, kernel_px: int) -> nn.Sequential:
    convolution = nn.Conv2d(width_in, width_out, kernel_px, padding=kernel_px // 2, bias=False)
    nn.init.kaiming_uniform_(convolution.weight, a=1)
    return nn.Sequential(convolution, nn.BatchNorm2d(width_out))
