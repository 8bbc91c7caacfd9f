"""The forward pass of one training step: both networks, every method's losses, and their weighted sum."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hviskd.distillation.features import changed
from hviskd.distillation.labelled import labelled_part
from hviskd.distillation.method import Batch, Method, Options, Reads, Trace, View, total_loss


class TracedNetwork(Protocol):
    """The interface of a network, as methods need it."""

    def trace(self, images: Tensor, *, preactivations: bool = False, blocks: bool = False) -> Trace:
        """Run on images (B, 3, H, W) and keep what a method may read."""


@dataclass  # not frozen, as Batch
class Step:
    """The losses of one batch.

    Attributes:
        total: The weighted sum that is learned.
        losses: Every method's losses, unweighted and detached; `method` or `method/term`.
        logits: The student's logits (B, K) of the tiles that have labels, detached.
    """

    total: Tensor
    losses: dict[str, Tensor]
    logits: Tensor


class Objective(nn.Module):
    """Student, methods with their adapters, and teacher, as one module for one optimizer.

    The teacher stays in evaluation mode and gets no gradient, unless a method declares "trained_teacher".
    """

    def __init__(
        self,
        student: nn.Module,
        methods: nn.ModuleDict,
        teacher: nn.Module | None,
        options: Mapping[str, Options] | None = None,
        *,
        low_power: float = 0.0,
    ) -> None:
        """Join them.

        Args:
            student: The student.
            methods: The methods, by name.
            teacher: The teacher, if there is one.
            options: In which part of the training each method is active; by default in all of it.
            low_power: Weight of the losses of the same batch at low power, as the student alone sees it; 0: never.
        """
        super().__init__()
        self.student = student
        self.methods = methods
        self.teacher = teacher
        self.progress = 0.0  # share of the training that is done; the loop sets it
        self.low_power = low_power
        self._options = options or {}
        self._needs = frozenset().union(*(method.needs for method in self._methods().values()))
        if teacher is not None and not self.teacher_learns:
            teacher.requires_grad_(False)
        self.train()

    @property
    def teacher_learns(self) -> bool:
        """Whether a method trains the teacher as a peer."""
        return "trained_teacher" in self._needs

    def learning(self) -> list[nn.Module]:
        """Return the parts that learn: student, methods, and a teacher that is a peer."""
        peer = [self.teacher] if self.teacher is not None and self.teacher_learns else []
        return [self.student, self.methods, *peer]

    def _methods(self) -> dict[str, Method]:
        return dict(self.methods.items())  # type: ignore[arg-type]

    def _counting(self) -> dict[str, Method]:
        return {
            name: method
            for name, method in self._methods().items()
            if name not in self._options or self._options[name].counts_at(self.progress)
        }

    def train(self, mode: bool = True) -> "Objective":
        """Set training mode on everything that is trained."""
        super().train(mode)
        if self.teacher is not None and not self.teacher_learns:
            self.teacher.eval()
        return self

    def forward(self, batch: Batch) -> Step:
        """Return the losses of one batch; fills `batch.views` with the views that the methods request.

        With `low_power`, the student also sees all of it at low power; the teacher does not.
        """
        counting = self._counting()
        named = {name: images for method in counting.values() for name, images in method.views(batch.images).items()}
        views = {name: View(images, self._student(images), self._teacher(images)) for name, images in named.items()}
        batch = replace(batch, views=views, progress=self.progress)
        student = self._student(batch.images)
        teacher = self._teacher(batch.images) if batch.teacher is None else batch.teacher
        step = self._losses(counting, batch, student, teacher)
        if not self.low_power:
            return step
        low = self._losses(counting, *self._at_low_power(batch), teacher)
        total = (1 - self.low_power) * step.total + self.low_power * low.total
        return Step(total, step.losses | {f"low_power/{name}": loss for name, loss in low.losses.items()}, step.logits)

    def _at_low_power(self, batch: Batch) -> tuple[Batch, Trace]:
        """Return a batch and its views as the student sees them at low power, each px the mean of four."""
        images = F.avg_pool2d(batch.images, 2)
        views = {
            name: View(small := F.avg_pool2d(view.images, 2), self._student(small), view.teacher)
            for name, view in batch.views.items()
        }
        return replace(batch, images=images, views=views, again=True), self._student(images)

    def _losses(self, counting: Mapping[str, Method], batch: Batch, student: Trace, teacher: Trace | None) -> Step:
        """Return every method's losses, and their weighted sum."""
        # A peer is taught by the methods that call it one; to all others it is a teacher, and gets no gradient.
        still = (batch, student, teacher)
        if self.teacher_learns:
            still_batch, still_teacher = _still(batch, teacher)
            still = (still_batch, student, still_teacher)
        totals: list[Tensor] = []
        losses: dict[str, Tensor] = {}
        for name, method in counting.items():
            seen = (batch, student, teacher) if "trained_teacher" in method.needs else still
            terms = method(*(labelled_part(*seen) if method.reads_labels else seen))
            totals.append(total_loss(terms, method.weights))
            losses |= {_column(name, term): loss.detach() for term, loss in terms.items()}
        return Step(torch.stack(totals).sum(), losses, student.logits[: batch.labelled].detach())

    def reads(self) -> Reads | None:
        """Return what all methods together read of the teacher; None if one needs the teacher itself."""
        wanted = [method.reads() for method in self._methods().values()]
        return None if None in wanted else reduce(or_, wanted, Reads())

    def needing_live_teacher(self) -> list[str]:
        """Return the names of the methods that need the teacher itself."""
        return [name for name, method in self._methods().items() if method.reads() is None]

    def shares(self, losses: Mapping[str, float]) -> dict[str, float]:
        """Return the share of each term in the weighted sum of unweighted `losses`, both by log column."""
        weighted = {
            column: weight * losses[column]
            for name, method in self._methods().items()
            for term, weight in method.weights.items()
            if (column := _column(name, term)) in losses
        }
        total = sum(weighted.values())
        return {column: value / total for column, value in weighted.items()} if total > 0 else {}

    def remembering(self) -> list[str]:
        """Return the names of the methods that need what is stored of all tiles."""
        return [name for name, method in self._methods().items() if (reads := method.reads()) and reads.memory]

    def remember(self, stored: Callable[[], Iterable[Tensor]]) -> None:
        """Show the methods what is stored of all tiles; see `Method.remember`."""
        for name in self.remembering():
            self._methods()[name].remember(stored)

    def learned(self) -> dict[str, float]:
        """Return the methods' learned scalars, by log column."""
        return {
            _column(name, scalar): value
            for name, method in self._methods().items()
            for scalar, value in method.learned().items()
        }

    def undecayed(self) -> list[nn.Parameter]:
        """Return the methods' parameters without weight decay."""
        return [parameter for method in self._methods().values() for parameter in method.undecayed()]

    def _student(self, images: Tensor) -> Trace:
        return self._trace(self.student, images)

    def _teacher(self, images: Tensor) -> Trace | None:
        if self.teacher is None:
            return None
        with torch.set_grad_enabled(self.teacher_learns):
            return self._trace(self.teacher, images)

    def _trace(self, network: nn.Module, images: Tensor) -> Trace:
        traced: TracedNetwork = network  # type: ignore[assignment]
        needs = self._needs
        return traced.trace(images, preactivations="preactivations" in needs, blocks="blocks" in needs)


def _still(batch: Batch, teacher: Trace | None) -> tuple[Batch, Trace | None]:
    """Return a batch and a teacher's Trace that are detached from the teacher."""
    views = {name: replace(view, teacher=_detached(view.teacher)) for name, view in batch.views.items()}
    return replace(batch, views=views), _detached(teacher)


def _detached(trace: Trace | None) -> Trace | None:
    return None if trace is None else changed(trace, Tensor.detach)


def _column(method: str, term: str) -> str:
    return term if term == method else f"{method}/{term}"
