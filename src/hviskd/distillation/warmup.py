"""Warm-up of a method's weight, as in DKD, RLD and ReviewKD."""

from pydantic import Field

from hviskd.distillation.method import Options
from hviskd.distillation.standardised import LogitOptions

_FIRST = 1 / 20


class WarmedOptions(Options):
    """The options of methods with a warm-up.

    Attributes:
        warm_up: Share of the training over which the losses rise to their weight; the authors take 20 epochs of 240.
    """

    warm_up: float = Field(default=20 / 240, ge=0, le=1)

    def warmth(self, progress: float) -> float:
        """Return the factor of the losses at this fraction of the training.

        It starts at 1/20 where the method begins to count. With 20 of 240 epochs it is n / 20 in the n-th, as in the
        authors' code.
        """
        return min(1.0, _FIRST + (progress - self.during[0]) / self.warm_up) if self.warm_up else 1.0


class WarmedLogitOptions(WarmedOptions, LogitOptions):
    """The options of methods that compare logits and have a warm-up."""
