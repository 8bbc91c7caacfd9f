"""Cross-entropy with the labels."""

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from hviskd.distillation.method import Batch, Method, Options, Setting, Trace
from hviskd.distillation.precision import full_precision


class CrossEntropyOptions(Options):
    """Weight, and label smoothing."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)


class CrossEntropy(Method):
    """Cross-entropy between the labels and the student's logits, mean over the batch."""

    name = "cross_entropy"
    Options = CrossEntropyOptions

    def __init__(self, options: CrossEntropyOptions, setting: Setting) -> None:
        super().__init__()
        self.label_smoothing = options.label_smoothing
        self.weights = {"cross_entropy": options.weight}

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `cross_entropy`."""
        loss = full_precision(F.cross_entropy)(student.logits, batch.labels, label_smoothing=self.label_smoothing)
        return {"cross_entropy": loss}
