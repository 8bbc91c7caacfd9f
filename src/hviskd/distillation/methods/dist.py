"""DIST (Huang et al., NeurIPS 2022): probabilities only correlate with the teacher's, per tile and per class."""

from pydantic import Field
from torch import Tensor

from hviskd.distillation.gather import gather_batch
from hviskd.distillation.method import Batch, Method, Reads, Setting, Trace
from hviskd.distillation.precision import full_precision
from hviskd.distillation.standardised import LogitOptions
from hviskd.distillation.vectors import unit


class DISTOptions(LogitOptions):
    """The published settings for few classes (CIFAR); for ImageNet the authors use weight 1 and temperature 1.

    Attributes:
        inter: β, over the correlations of each tile's probabilities.
        intra: γ, over the correlations of each class's probabilities over the batch.
    """

    weight: float = Field(default=2.0, ge=0, allow_inf_nan=False)
    inter: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    intra: float = Field(default=1.0, ge=0, allow_inf_nan=False)


class DIST(Method):
    """T² (1 − Pearson's r) of the probabilities at temperature T: `inter`, mean over tiles, `intra`, over classes.

    `intra` compares the tiles of the joint batch and wants several a class there. With two classes every tile's r is
    1 or −1, and `inter` tells no more than who ranks first.
    """

    name = "dist"
    Options = DISTOptions
    needs = frozenset({"teacher"})
    reads_labels = False

    def __init__(self, options: DISTOptions, setting: Setting) -> None:
        super().__init__()
        options.require_enough_classes(setting.num_classes, "dist")
        self.options = options
        self.weights = {"inter": options.weight * options.inter, "intra": options.weight * options.intra}

    def reads(self) -> Reads:
        """Return that logits suffice."""
        return Reads()

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `inter` and `intra`."""
        assert teacher is not None
        ours, theirs = (
            gather_batch(self.options.scaled(logits).softmax(dim=1)) for logits in (student.logits, teacher.logits)
        )
        squared = self.options.temperature**2
        return {"inter": uncorrelated(ours, theirs) * squared, "intra": uncorrelated(ours.T, theirs.T) * squared}


@full_precision
def uncorrelated(student: Tensor, teacher: Tensor) -> Tensor:
    """Return 1 − Pearson's r of two matrices' rows, mean over the rows; r of a constant row is 0."""
    ours, theirs = (unit(rows - rows.mean(dim=1, keepdim=True), dim=1) for rows in (student, teacher))
    return 1 - (ours * theirs).sum(dim=1).mean()
