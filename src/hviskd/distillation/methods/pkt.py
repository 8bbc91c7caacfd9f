"""PKT (Passalis and Tefas, ECCV 2018): similarities within a batch, as probabilities, should be as for the teacher."""

from pydantic import Field
from torch import Tensor

from hviskd.distillation.features import pooled_at
from hviskd.distillation.gather import gather_batch
from hviskd.distillation.method import Batch, Method, Options, Reads, Setting, Trace
from hviskd.distillation.precision import full_precision
from hviskd.distillation.vectors import unit

_EPSILON = 1e-7  # the authors'


class PKTOptions(Options):
    """Weight; large because the divergence is a mean over all B² pairs of tiles."""

    weight: float = Field(default=30000.0, ge=0, allow_inf_nan=False)


class PKT(Method):
    """KL(P_t ‖ P_s) as a mean over pairs, P the rows of (1 + cosine) / 2 between tiles, each divided by its sum.

    On the last map's mean over pixels. There is nothing to adapt.
    """

    name = "pkt"
    Options = PKTOptions
    needs = frozenset({"teacher"})
    reads_labels = False

    def __init__(self, options: PKTOptions, setting: Setting) -> None:
        super().__init__()
        self.weights = {"pkt": options.weight}

    def reads(self) -> Reads:
        """Return the mean of the last map."""
        return Reads(pooled=frozenset({"last"}))

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `pkt`."""
        assert teacher is not None
        return {"pkt": probability_loss(*(gather_batch(pooled_at(trace, "last")) for trace in (student, teacher)))}


@full_precision
def probability_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean over pairs of P_t log(P_t / P_s) for vectors (B, D_s) and (B, D_t), including self-pairs."""
    ours, theirs = (_resemblance(vectors) for vectors in (student, teacher))
    return (theirs * ((theirs + _EPSILON) / (ours + _EPSILON)).log()).mean()


def _resemblance(vectors: Tensor) -> Tensor:
    """Return (B, B), with rows of sum 1."""
    directions = unit(vectors)
    scores = (1 + directions @ directions.T) / 2
    return scores / scores.sum(dim=1, keepdim=True)
