"""CRD (Tian, Krishnan and Isola, ICLR 2020): a tile's two embeddings agree and differ from those of other tiles."""

from pydantic import Field
from torch import Tensor

from hviskd.distillation.contrast import ContrastMethod, ContrastOptions
from hviskd.distillation.method import Setting


class CRDOptions(ContrastOptions):
    """The paper's settings."""

    weight: float = Field(default=0.8, ge=0, allow_inf_nan=False)


class CRD(ContrastMethod):
    """The contrastive loss of `Contrast` over learned linear embeddings of both networks' last vectors.

    Unlike the public code, negatives are drawn with replacement, on the device and for classes of any size, and the
    memories live in the checkpoint.
    """

    name = "crd"
    Options = CRDOptions

    def __init__(self, options: CRDOptions, setting: Setting) -> None:
        super().__init__(options, setting)
        self.weights = {"crd": options.weight}

    def losses(self, teacher: Tensor, student: Tensor, contrast: Tensor) -> dict[str, Tensor]:
        """Return `crd`."""
        return {"crd": contrast}
