"""VkD (Miles et al., CVPR 2024): the student's vector, only rotated, should be the teacher's standardised vector."""

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import orthogonal

from hviskd.distillation.features import pooled_at
from hviskd.distillation.method import Batch, Method, Options, Reads, Setting, Trace
from hviskd.distillation.precision import full_precision


class VkDOptions(Options):
    """Weight; the authors use 1, with cross-entropy and KD."""


class VkD(Method):
    """Smooth L1 between P v_s and the layer norm of v_t, mean over all entries, on spatial means of the last maps.

    P is learned and orthogonal: it keeps lengths and angles, so that it cannot learn in the student's place. Where the
    student's vector is the longer one P's rows are orthonormal instead, and what is orthogonal to them is not compared.
    """

    name = "vkd"
    Options = VkDOptions
    needs = frozenset({"teacher"})
    reads_labels = False

    def __init__(self, options: VkDOptions, setting: Setting) -> None:
        super().__init__()
        assert setting.teacher is not None
        linear = nn.Linear(setting.student.last[0], setting.teacher.last[0], bias=False)
        self.projection = orthogonal(linear, orthogonal_map="householder", use_trivialization=False)
        self.weights = {"vkd": options.weight}

    def reads(self) -> Reads:
        """Return the mean of the last map."""
        return Reads(pooled=frozenset({"last"}))

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `vkd`."""
        assert teacher is not None
        return {"vkd": self._loss(pooled_at(student, "last"), pooled_at(teacher, "last"))}

    def undecayed(self) -> list[nn.Parameter]:
        """Return the parameters of P: an orthogonal matrix has no scale that could decay."""
        return list(self.projection.parameters())

    @full_precision
    def _loss(self, student: Tensor, teacher: Tensor) -> Tensor:
        return F.smooth_l1_loss(self.projection(student), F.layer_norm(teacher, teacher.shape[1:]))
