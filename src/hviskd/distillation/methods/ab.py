"""AB (Heo et al., AAAI 2019): the student's neurons should be active where the teacher's are, however strongly."""

import torch
from pydantic import Field
from torch import Tensor, nn

from hviskd.distillation.adapters import connector
from hviskd.distillation.maps import published_share, to_smaller
from hviskd.distillation.method import Batch, Method, Options, Setting, Trace, paired_shapes
from hviskd.distillation.precision import full_precision


class ABOptions(Options):
    """Weight, stages, margin and scale.

    Attributes:
        weight: Of the public code, for a sum over channels and pixels.
        stages: Pairs (teacher stage, student stage) from shallow to deep; 0 is the stem.
        margin: How far from zero, on the teacher's side of it, the student's response is to be.
        rescaled: Whether the sum over pixels is brought to images of 32 × 32 px, for which the weight was published;
            without it, as in the public code, the loss grows with the area of the images.
    """

    weight: float = Field(default=3e-3, ge=0, allow_inf_nan=False)
    stages: tuple[tuple[int, int], ...] = Field(default=((1, 1), (2, 2), (3, 3)), min_length=1)
    margin: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    rescaled: bool = True


class AB(Method):
    """Squared hinge loss at the teacher's activation boundary, on feature maps before activation.

    The deepest pair counts whole, each one above it half as much as the next. Meant for a stage before the main one: in
    the preset `ab` nothing else is learned meanwhile, and afterwards it no longer counts.
    """

    needs = frozenset({"teacher", "preactivations"})

    def __init__(self, options: ABOptions, setting: Setting) -> None:
        super().__init__()
        self.options = options
        shapes = paired_shapes(setting, options.stages, "ab")
        self.connectors = nn.ModuleList(
            nn.Identity() if theirs == ours else connector(ours[0], theirs[0]) for theirs, ours in shapes
        )
        self.weights = {"ab": options.weight}

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `ab`."""
        assert teacher is not None
        assert teacher.preactivations is not None
        assert student.preactivations is not None
        losses = []
        for position, (of_teacher, of_student) in enumerate(self.options.stages):
            maps = to_smaller(teacher.preactivations[of_teacher], student.preactivations[of_student])
            loss = boundary_loss(maps[0], self.connectors[position](maps[1]), self.options.margin)
            losses.append(loss * 0.5 ** (len(self.connectors) - 1 - position))
        scale = published_share(batch.images) if self.options.rescaled else 1.0
        return {"ab": torch.stack(losses).sum() * scale}


@full_precision
def boundary_loss(teacher: Tensor, student: Tensor, margin: float) -> Tensor:
    """Sum over channels and pixels of feature maps (B, C, H, W) before activation, mean over the batch.

    Counts (m − s)² where the teacher is active (t > 0) and s < m, and (m + s)² where it is not and s > −m.
    """
    side = torch.where(teacher > 0, 1.0, -1.0)
    return (margin - side * student).clamp(min=0).square().sum() / len(student)
