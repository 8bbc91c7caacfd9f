"""Relation to a memory: which remembered tiles a tile resembles should be to the student what it is to the teacher.

HVisKD's idea, samples related to samples, with two changes: a tile is compared with tiles drawn from all that the
teacher has stored, not with those that happen to share its batch, and the common mean, which is most of what a Gram
matrix of features after a ReLU shows, is taken off before. Ancestors: CompRess (Koohpayegani et al., NeurIPS 2020) and
SEED (Fang et al., ICLR 2021), which compare similarities to a queue, and relational representation distillation
(Giakoumoglou and Stathaki, 2024).
"""

from collections.abc import Callable, Iterable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from hviskd.distillation.features import pooled_at
from hviskd.distillation.method import Batch, Method, Options, Reads, Setting, Trace
from hviskd.distillation.precision import full_precision
from hviskd.distillation.relations import row_divergence
from hviskd.distillation.vectors import unit

_LARGEST_BANK = 2**14  # remembered vectors; of 128 numbers, 8 MB
_SEED = 0


class MemoryOptions(Options):
    """Size of what is compared.

    Attributes:
        anchors: Remembered tiles that each batch is compared with, drawn anew for every step.
        width: Principal axes that are kept of the teacher's features, at most as many as it has channels.
        temperature: Divides the cosines.
        match: `relation`; or, as controls of what the relation adds, `cosine`, which brings v itself to u (mean of
            1 − u · v), and `shuffled`, which gives each tile the relation of another of its batch.
    """

    anchors: int = Field(default=512, ge=2, le=_LARGEST_BANK)
    width: int = Field(default=128, ge=2, le=4096)
    temperature: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    match: Literal["relation", "cosine", "shuffled"] = "relation"


class Memory(Method):
    """KL(softmax(A u / τ) ‖ softmax(A v / τ)), mean over the batch; no label is needed.

    u is the mean of the teacher's last map, standardised per channel and projected on principal axes, which are settled
    once over every stored tile and view; v = W g + b of the student's mean g; both of unit length. The rows of A are
    such u of remembered tiles. W and b are discarded after training.
    """

    name = "memory"
    Options = MemoryOptions
    needs = frozenset({"teacher"})
    reads_labels = False
    mean: Tensor
    axes: Tensor
    settled: Tensor
    bank: Tensor

    def __init__(self, options: MemoryOptions, setting: Setting) -> None:
        super().__init__()
        assert setting.teacher is not None
        self.options = options
        channels = setting.teacher.last[0]
        width = min(options.width, channels)
        self.adapter = nn.Linear(setting.student.last[0], width)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("axes", torch.zeros(channels, width))  # divided by the channels' deviations
        self.register_buffer("settled", torch.zeros((), dtype=torch.bool))
        self.register_buffer("bank", torch.zeros(0, width), persistent=False)  # drawn again, alike, on resuming
        self.weights = {"memory": options.weight}

    def reads(self) -> Reads:
        """Return the mean of the last map, of the batch and of all that is stored."""
        return Reads(pooled=frozenset({"last"}), memory=True)

    @torch.no_grad()
    def remember(self, stored: Callable[[], Iterable[Tensor]]) -> None:
        """Settle the axes over all vectors, and keep a random part of them, at most 16,384."""
        if not self.settled:
            mean, axes = principal_axes(stored(), self.axes.shape[1])
            self.mean.copy_(mean)
            self.axes.copy_(axes)
            self.settled.fill_(value=True)
        count = sum(len(vectors) for vectors in stored())
        order = torch.randperm(count, generator=torch.Generator().manual_seed(_SEED))
        wanted = torch.zeros(count, dtype=torch.bool)
        wanted[order[:_LARGEST_BANK]] = True
        kept, start = [], 0
        for vectors in stored():
            kept.append(self._directions(vectors[wanted[start : start + len(vectors)]].to(self.mean)))
            start += len(vectors)
        self.bank = torch.cat(kept)

    @full_precision
    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `memory`."""
        assert teacher is not None
        assert len(self.bank), "remember() comes first"
        theirs = self._directions(pooled_at(teacher, "last").detach())
        ours = unit(self.adapter(pooled_at(student, "last")))
        if self.options.match == "cosine":
            return {"memory": 1 - (theirs * ours).sum(dim=1).mean()}
        if self.options.match == "shuffled":
            order = torch.randperm(len(theirs), device=theirs.device)
            theirs = theirs[order][order.roll(1).argsort()]  # each the next of a circle, so none its own
        drawn = torch.randint(len(self.bank), (self.options.anchors,), device=self.bank.device)
        anchors = self.bank[drawn].T / self.options.temperature
        return {"memory": row_divergence(theirs @ anchors, ours @ anchors)}

    def _directions(self, vectors: Tensor) -> Tensor:
        return unit((vectors - self.mean) @ self.axes)


def principal_axes(chunks: Iterable[Tensor], width: int) -> tuple[Tensor, Tensor]:
    """Return the mean (C,) of vectors, and a matrix (C, width) that standardises channels and projects on their axes.

    The axes are the eigenvectors of the channels' correlations with the largest eigenvalues, each with its largest
    entry positive. A channel that is constant counts for nothing. In float64, whatever the chunks (n, C) are.
    """
    count, total, products = 0, torch.zeros(()), torch.zeros(())
    for vectors in chunks:
        exact = vectors.double().cpu()
        count += len(exact)
        total = total + exact.sum(dim=0)
        products = products + exact.T @ exact
    mean = total / count
    covariance = products / count - torch.outer(mean, mean)
    variance = covariance.diagonal()
    varies = variance > 1e-12 * products.diagonal() / count
    inverse = torch.where(varies, variance, 1.0).rsqrt() * varies
    axes = torch.linalg.eigh(covariance * torch.outer(inverse, inverse)).eigenvectors.flip(1)[:, :width]
    largest = axes.gather(0, axes.abs().argmax(dim=0, keepdim=True))
    return mean, inverse[:, None] * axes * largest.sign()
