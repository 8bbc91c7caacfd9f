"""Options of methods that first teach a part of the teacher's side, and the student only then."""

from typing import Self

from pydantic import Field, model_validator

from hviskd.distillation.method import Options


class PreparedOptions(Options):
    """What such methods share.

    Attributes:
        preparation: Share of the training, from the start of `during`, in which the teacher's side learns alone.
    """

    preparation: float = Field(default=0.1, gt=0, lt=1)

    @model_validator(mode="after")
    def _leaves_time_to_distil(self) -> Self:
        if self.preparation >= self.during[1] - self.during[0]:
            raise ValueError("preparation must be shorter than the stretch in `during`, or the student never learns")
        return self

    def prepares_at(self, progress: float) -> bool:
        """Say whether the teacher's side still learns when this share of the training is done."""
        return progress < self.during[0] + self.preparation
