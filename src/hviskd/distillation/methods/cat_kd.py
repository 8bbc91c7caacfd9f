"""CAT-KD (Guo et al., CVPR 2023): for every class, the student should look where the teacher looks."""

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from hviskd.distillation.features import regions_at
from hviskd.distillation.method import Batch, Method, Options, Reads, Setting, Shapes, Trace
from hviskd.distillation.precision import full_precision
from hviskd.distillation.vectors import unit
from hviskd.errors import RecipeError


class CATKDOptions(Options):
    """Weight, and the resolution of the compared maps.

    Attributes:
        weight: The authors tuned it for every pair: 600 from ResNets to ShuffleNets at grid 4, 15 from VGG to
            MobileNetV2 at grid 2, both normalised; 0.5 to 15 without. Tune it here too.
        grid: Side of the pooled class activation map.
        normalise: Whether each map is divided by its L2 norm, so that only where counts, not how much.
    """

    weight: float = Field(default=15.0, ge=0, allow_inf_nan=False)
    grid: int = Field(default=2, ge=1, le=32)
    normalise: bool = True


class CATKD(Method):
    """Mean squared difference of the class activation maps (Zhou et al. 2016), pooled to grid × grid.

    A class's activation map is the sum of the last map's channels, each times its weight for the class; the bias is
    left out. It exists where the classifier reads one number a channel, so both networks need a `gap` head.
    """

    name = "cat_kd"
    Options = CATKDOptions
    needs = frozenset({"teacher"})
    reads_labels = False

    def __init__(self, options: CATKDOptions, setting: Setting) -> None:
        super().__init__()
        assert setting.teacher is not None
        _require_gap_head("student", setting.student)
        _require_gap_head("teacher", setting.teacher)
        self.options = options
        self.weights = {"cat_kd": options.weight}

    def reads(self) -> Reads:
        """Return the last map, averaged to the grid."""
        return Reads(regions=frozenset({("last", self.options.grid)}))

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `cat_kd`."""
        assert teacher is not None
        ours, theirs = (
            class_activations(regions_at(trace, "last", self.options.grid), trace.class_weights)
            for trace in (student, teacher)
        )
        if self.options.normalise:
            ours, theirs = unit(ours), unit(theirs)
        return {"cat_kd": F.mse_loss(ours, theirs)}


@full_precision
def class_activations(cells: Tensor, class_weights: Tensor) -> Tensor:
    """Return (B, K, cells) of averaged maps (B, C, grid, grid) and class weights (K, C); averaged first."""
    return torch.einsum("kc,bcp->bkp", class_weights, cells.flatten(2))


def _require_gap_head(role: str, shapes: Shapes) -> None:
    if shapes.embedding != shapes.last[0]:
        raise RecipeError(
            f"methods.cat_kd: the {role}'s classifier reads {shapes.embedding} values from {shapes.last[0]} "
            "channels, so its classes have no activation maps; use a network with head: gap"
        )
