"""SimKD (Chen et al., CVPR 2022): the student keeps the teacher's classifier and learns the classifier's input."""

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from hviskd.distillation.maps import to_smaller
from hviskd.distillation.method import Batch, Method, Options, Setting, Trace
from hviskd.distillation.precision import full_precision


class SimKDOptions(Options):
    """Weight, and the width of the projector.

    Attributes:
        reduction: The teacher's width divided by the projector's inner width.
    """

    reduction: int = Field(default=2, ge=1, le=64)


class SimKD(Method):
    """Mean squared difference between the student's projected feature map and the teacher's last feature map.

    The student is built with a projector and a copy of the teacher's classifier in the place of its own head
    ("teacher_head"): both belong to the trained network, and so to its Model and its cost. Labels are not used.
    """

    name = "simkd"
    Options = SimKDOptions
    needs = frozenset({"teacher", "teacher_head"})
    reads_labels = False

    def __init__(self, options: SimKDOptions, setting: Setting) -> None:
        super().__init__()
        self.weights = {"simkd": options.weight}

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `simkd`."""
        assert teacher is not None
        theirs, ours = to_smaller(teacher.last, student.last)
        return {"simkd": full_precision(F.mse_loss)(ours, theirs)}
