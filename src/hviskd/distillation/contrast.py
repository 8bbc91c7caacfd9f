"""Contrast between teacher and student with memory banks of all training tiles, shared by CRD and WCoRD."""

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from hviskd.distillation.gather import gather_batch
from hviskd.distillation.method import Batch, Method, Options, Reads, Setting, Trace
from hviskd.distillation.precision import full_precision


class Contrast(nn.Module):
    """Two embeddings of unit length, and for each network a memory bank with the embedding of every training tile.

    The memories are buffers: a checkpoint keeps them, and under several processes all write the joint batch, so that
    they stay alike.

    Args:
        widths: Lengths of the teacher's and the student's vectors.
        labels: Classes (N,) of the training split; a row of a memory is a tile of it.
        width: Length of the embeddings.
        momentum: Share of its old content that a memory's row keeps when its tile is seen.
        embed: Makes the linear map from one length to another.
    """

    teacher_memory: Tensor
    student_memory: Tensor
    partition: Tensor
    by_class: Tensor
    class_start: Tensor
    class_size: Tensor

    def __init__(
        self,
        widths: tuple[int, int],
        labels: Tensor,
        *,
        width: int,
        momentum: float,
        embed: Callable[[int, int], nn.Module] = nn.Linear,
    ) -> None:
        super().__init__()
        self.momentum = momentum
        self.embed_teacher, self.embed_student = (embed(length, width) for length in widths)
        for name in ("teacher_memory", "student_memory"):
            self.register_buffer(name, F.normalize(torch.randn(len(labels), width), dim=1))
        self.register_buffer("partition", torch.full((2,), math.inf))  # log Z of either memory, once it is known
        sizes = torch.bincount(labels)
        self.register_buffer("by_class", torch.argsort(labels, stable=True))
        self.register_buffer("class_size", sizes)
        self.register_buffer("class_start", sizes.cumsum(0) - sizes)

    def embedded(self, teacher: Tensor, student: Tensor) -> tuple[Tensor, Tensor]:
        """Return both networks' embeddings (B, width), each of unit length."""
        return F.normalize(self.embed_teacher(teacher), dim=1), F.normalize(self.embed_student(student), dim=1)

    def draw(self, index: Tensor, labels: Tensor, negatives: int, *, same_class: bool) -> Tensor:
        """Draw for each tile (B,) the memory rows (B, 1 + negatives) to compare with: one positive, then the negatives.

        The positive is the tile itself, or any tile of its class; negatives are tiles of other classes, drawn evenly
        and with replacement, so that classes may be of any size.
        """
        total = len(self.by_class)
        size, start = self.class_size[labels][:, None], self.class_start[labels][:, None]
        drawn = torch.rand(len(index), negatives + 1, device=index.device, dtype=torch.float64)
        place = (drawn[:, 1:] * (total - size)).long()  # counted over the other classes alone
        others = self.by_class[place + size * (place >= start)]
        positive = self.by_class[(start[:, 0] + (drawn[:, 0] * size[:, 0]).long())] if same_class else index
        return torch.cat([positive[:, None], others], dim=1)

    def forward(
        self,
        teacher: Tensor,
        student: Tensor,
        index: Tensor,
        rows: Tensor,
        temperature: float,
        *,
        remember: bool = True,
    ) -> Tensor:
        """Return the contrastive loss of embeddings (B, width) against memory rows (B, 1 + n), and `remember` them.

        For both anchors a (the student against the teacher's memory, and the other way round), with x = a · row / τ:
        h = eˣ/Z / (eˣ/Z + n/N) and −log h(positive) − Σ log(1 − h(negative)), mean over the batch, added up.
        """
        losses = [
            self._against(anchor, memory, side, rows, temperature)
            for side, (anchor, memory) in enumerate(
                ((student, self.teacher_memory.clone()), (teacher, self.student_memory.clone()))
            )
        ]
        if remember:
            self._remember(teacher, student, index)
        return losses[0] + losses[1]

    def _against(self, anchor: Tensor, memory: Tensor, side: int, rows: Tensor, temperature: float) -> Tensor:
        # All similarities at once take B · N numbers; picking the rows' vectors would take B · n · width.
        scores = torch.gather(anchor @ memory.T, 1, rows) / temperature
        total, negatives = len(memory), rows.shape[1] - 1
        with torch.no_grad():  # log Z, from the first batch ever seen
            mean = gather_batch(torch.logsumexp(scores.flatten(), 0)[None] - math.log(scores.numel()))
            first = torch.logsumexp(mean, 0) - math.log(len(mean)) + math.log(total)
            self.partition[side] = torch.where(self.partition[side].isinf(), first, self.partition[side])
        # log h = −softplus(−(x − log Z − log(n / N))), and log(1 − h) the same of the negated argument.
        margin = scores - self.partition[side] - math.log(negatives / total)
        return (F.softplus(-margin[:, 0]) + F.softplus(margin[:, 1:]).sum(dim=1)).mean()

    @torch.no_grad()
    def _remember(self, teacher: Tensor, student: Tensor, index: Tensor) -> None:
        index = gather_batch(index)
        for memory, seen in ((self.teacher_memory, teacher), (self.student_memory, student)):
            mixed = self.momentum * memory[index] + (1 - self.momentum) * gather_batch(seen.detach())
            memory[index] = F.normalize(mixed, dim=1).to(memory.dtype)


def negatives_within(wanted: int, labels: Tensor) -> int:
    """Return how many negatives may be drawn: at most the tiles outside the largest class."""
    return max(1, min(wanted, len(labels) - int(torch.bincount(labels).max())))


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


class ContrastMethod(Method):
    """The part that CRD and WCoRD share: embeddings of both networks' last vectors, held against the memories."""

    needs = frozenset({"teacher"})

    def __init__(self, options: ContrastOptions, setting: Setting) -> None:
        super().__init__()
        assert setting.teacher is not None
        self.options = options
        self.negatives = negatives_within(options.negatives, setting.labels)
        self.contrast = Contrast(
            (setting.teacher.embedding, setting.student.embedding),
            setting.labels,
            width=options.width,
            momentum=options.momentum,
            embed=self.embed,
        )

    def reads(self) -> Reads:
        """Return the embedding."""
        return Reads(embedding=True)

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return the method's losses and update the memories."""
        assert teacher is not None
        return self._losses(teacher.embedding, student.embedding, batch)

    @full_precision
    def _losses(self, teacher: Tensor, student: Tensor, batch: Batch) -> dict[str, Tensor]:
        index, labels, temperature = batch.index, batch.labels, self.options.temperature
        rows = self.contrast.draw(index, labels, self.negatives, same_class=self.options.positive == "class")
        theirs, ours = self.contrast.embedded(teacher, student)
        contrast = self.contrast(theirs, ours, index, rows, temperature, remember=not batch.again)
        return self.losses(theirs, ours, contrast)

    def embed(self, length: int, width: int) -> nn.Module:
        """Make the linear map from a network's vector to its embedding."""
        return nn.Linear(length, width)

    def losses(self, teacher: Tensor, student: Tensor, contrast: Tensor) -> dict[str, Tensor]:
        """Name the losses of a batch's embeddings (B, width), of which `contrast` is one."""
        raise NotImplementedError
