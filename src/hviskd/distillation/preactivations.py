"""Maps before their activation, the student's brought to the teacher's width, as AB and OFD compare them."""

import torch
from pydantic import Field
from torch import Tensor, nn

from hviskd.distillation.adapters import connector
from hviskd.distillation.maps import published_share, to_smaller
from hviskd.distillation.method import Batch, Method, Options, Setting, Shape, Trace, paired_shapes


class PreactivationOptions(Options):
    """The options that AB and OFD share.

    Attributes:
        stages: Pairs (teacher stage, student stage) from shallow to deep; 0 is the stem.
        rescaled: Whether the sum over pixels is brought to images of 32 × 32 px, for which the weight was published;
            without it, as in the public code, the loss grows with the area of the images.
    """

    stages: tuple[tuple[int, int], ...] = Field(default=((1, 1), (2, 2), (3, 3)), min_length=1)
    rescaled: bool = True


class PreactivationMethod(Method):
    """One loss, named as the method: a distance a pair of stages.

    The deepest pair counts whole, each one above it half as much as the next.
    """

    needs = frozenset({"teacher", "preactivations"})

    def __init__(self, options: PreactivationOptions, setting: Setting) -> None:
        super().__init__()
        self.options = options
        self.shapes = paired_shapes(setting, options.stages, self.name)
        self.connectors = nn.ModuleList(self.connector(theirs, ours) for theirs, ours in self.shapes)
        self.weights = {self.name: options.weight}

    def connector(self, theirs: Shape, ours: Shape) -> nn.Module:
        """Bring the student's map to the teacher's width."""
        return connector(ours[0], theirs[0])

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return the one loss."""
        assert teacher is not None
        assert teacher.preactivations is not None
        assert student.preactivations is not None
        losses = []
        for position, (of_teacher, of_student) in enumerate(self.options.stages):
            theirs, ours = to_smaller(teacher.preactivations[of_teacher], student.preactivations[of_student])
            loss = self.distance(position, theirs, self.connectors[position](ours))
            losses.append(loss * 0.5 ** (len(self.connectors) - 1 - position))
        scale = published_share(batch.images) if self.options.rescaled else 1.0
        return {self.name: torch.stack(losses).sum() * scale}

    def distance(self, position: int, teacher: Tensor, student: Tensor) -> Tensor:
        """Compare the maps (B, C, H, W) of one pair of stages, by its position among the pairs."""
        raise NotImplementedError
