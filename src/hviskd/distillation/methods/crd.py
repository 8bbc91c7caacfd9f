"""CRD (Tian, Krishnan and Isola, ICLR 2020): a tile's two embeddings agree and differ from those of other tiles."""

from typing import Literal

from pydantic import Field
from torch import Tensor

from hviskd.distillation.contrast import Contrast, negatives_within
from hviskd.distillation.method import Batch, Method, Options, Setting, Trace
from hviskd.distillation.precision import full_precision


class ContrastOptions(Options):
    """The options that CRD and WCoRD share.

    Attributes:
        width: Length of the embeddings.
        negatives: Tiles of other classes that each tile is held against, at most as many as there are.
        temperature: Divides the cosines.
        momentum: Share of its old content that a memory's row keeps.
        positive: The tile itself (`tile`; the public code calls it exact), or any of its class (`class`; relax).
    """

    width: int = Field(default=128, ge=2, le=4096)
    negatives: int = Field(default=16384, ge=1)
    temperature: float = Field(default=0.07, gt=0, allow_inf_nan=False)
    momentum: float = Field(default=0.5, ge=0, lt=1)
    positive: Literal["tile", "class"] = "tile"


class CRDOptions(ContrastOptions):
    """The paper's settings."""

    weight: float = Field(default=0.8, ge=0, allow_inf_nan=False)


class CRD(Method):
    """The contrastive loss of `Contrast` over learned linear embeddings of both networks' last vectors.

    Unlike the public code, negatives are drawn with replacement, on the device and for classes of any size, and the
    memories live in the checkpoint.
    """

    needs = frozenset({"teacher"})

    def __init__(self, options: CRDOptions, setting: Setting) -> None:
        super().__init__()
        assert setting.teacher is not None
        self.options = options
        self.negatives = negatives_within(options.negatives, setting.labels)
        self.contrast = Contrast(
            (setting.teacher.embedding, setting.student.embedding),
            setting.labels,
            width=options.width,
            momentum=options.momentum,
        )
        self.weights = {"crd": options.weight}

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `crd` and update the memories."""
        assert teacher is not None
        return {"crd": self._loss(teacher.embedding, student.embedding, batch.index, batch.labels)}

    @full_precision
    def _loss(self, teacher: Tensor, student: Tensor, index: Tensor, labels: Tensor) -> Tensor:
        rows = self.contrast.draw(index, labels, self.negatives, same_class=self.options.positive == "class")
        embedded = self.contrast.embedded(teacher, student)
        loss: Tensor = self.contrast(*embedded, index, rows, self.options.temperature)
        return loss
