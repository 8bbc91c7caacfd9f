"""Sums of an epoch: losses by name, accuracy, and checks for NaN and infinity."""

import torch
from torch import Tensor

from hviskd.errors import DivergedError


class LossTally:
    """Collects every step's losses on the device and reads them only now and then, so as not to slow it down."""

    def __init__(self, epoch: int, every: int) -> None:
        """Start an epoch (counted from 1 in messages); check every `every` steps."""
        self._epoch, self._every = epoch, every
        self._names: list[str] = []
        self._steps: list[Tensor] = []
        self._checked = 0

    def add(self, losses: dict[str, Tensor]) -> None:
        """Add one step's losses, each a scalar.

        Raises:
            DivergedError: A loss of a recent step is not finite; the message names epoch, step and term.
        """
        self._names = list(losses)
        self._steps.append(torch.stack([loss.float() for loss in losses.values()]))
        if len(self._steps) - self._checked >= self._every:
            self._check()

    def means(self) -> dict[str, float]:
        """Return the mean of every loss over the epoch, after checking all steps."""
        self._check()
        means = torch.stack(self._steps).cpu().double().mean(dim=0).tolist()
        return dict(zip(self._names, means, strict=True))

    def _check(self) -> None:
        recent = torch.stack(self._steps[self._checked :]) if self._steps[self._checked :] else torch.zeros(1, 1)
        bad = (~recent.isfinite()).nonzero()
        if len(bad):
            step, term = bad[0].tolist()
            # The sum is named only where every part is finite and adding them up was too much.
            raise DivergedError(
                f"epoch {self._epoch}, step {self._checked + step + 1}: the loss {self._names[term]!r} is "
                f"{recent[step, term].item()}; the last good checkpoint is kept: lower the learning rate or the "
                f"weight of this loss in a new run, or try `resume=True` with the same recipe to reproduce it"
            )
        self._checked = len(self._steps)


def confusion(logits: Tensor, labels: Tensor) -> Tensor:
    """Count (K, K) true classes (rows) against predicted classes (columns), int64 on the logits' device."""
    classes = logits.shape[1]
    return torch.bincount(labels * classes + logits.argmax(dim=1), minlength=classes**2).view(classes, classes)


def accuracies(counts: Tensor) -> dict[str, float]:
    """Return `top1` and `balanced_accuracy` (mean recall of the classes that occur) of a confusion matrix (K, K)."""
    counts = counts.cpu().double()
    truths = counts.sum(dim=1)
    recall = counts.diagonal()[truths > 0] / truths[truths > 0]
    return {
        "top1": (counts.diagonal().sum() / counts.sum()).item(),
        "balanced_accuracy": recall.mean().item(),
    }
