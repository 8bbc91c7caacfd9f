"""DML (Zhang et al., CVPR 2018): two networks learn together, each from the labels and from the other."""

from torch import Tensor, nn

from hviskd.distillation.method import Batch, Method, Options, Setting, Trace
from hviskd.distillation.methods.kd import kd_loss
from hviskd.distillation.precision import full_precision


class DMLOptions(Options):
    """Weight; the paper uses 1 and temperature 1."""


class DML(Method):
    """KL of each network's probabilities from the other's, detached, and the peer's own cross-entropy.

    The teacher is a peer here: it learns from its own weights onward, in the same optimizer and with the same learning
    rate as the student, and only the student is kept. Both step at once, where the paper lets the second network see
    the first one's new weights. The student's own cross-entropy is that of the mixture.
    """

    name = "dml"
    Options = DMLOptions
    needs = frozenset({"teacher", "trained_teacher"})

    def __init__(self, options: DMLOptions, setting: Setting) -> None:
        super().__init__()
        self.from_labels = nn.CrossEntropyLoss(setting.label_weights)
        self.weights = dict.fromkeys(("student_from_peer", "peer_from_student", "peer_from_labels"), options.weight)

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return the three losses; the first trains only the student, the others only the peer."""
        assert teacher is not None
        ours, theirs = student.logits, teacher.logits
        return {
            "student_from_peer": kd_loss(ours, theirs.detach(), 1.0),
            "peer_from_student": kd_loss(theirs, ours.detach(), 1.0),
            "peer_from_labels": full_precision(self.from_labels)(theirs, batch.labels),
        }
