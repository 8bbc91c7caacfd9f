"""Cross-entropy with the labels."""

from pydantic import Field
from torch import Tensor, nn

from hviskd.distillation.method import Batch, Method, Options, Setting, Trace
from hviskd.distillation.precision import full_precision


class CrossEntropyOptions(Options):
    """Weight, and label smoothing."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=1)


class CrossEntropy(Method):
    """Cross-entropy between the labels and the student's logits, mean over the batch; weighted if classes are."""

    name = "cross_entropy"
    Options = CrossEntropyOptions

    def __init__(self, options: CrossEntropyOptions, setting: Setting) -> None:
        super().__init__()
        self.loss = nn.CrossEntropyLoss(setting.label_weights, label_smoothing=options.label_smoothing)
        self.weights = {"cross_entropy": options.weight}

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `cross_entropy`."""
        return {"cross_entropy": full_precision(self.loss)(student.logits, batch.labels)}
