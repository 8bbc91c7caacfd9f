"""Options of methods that first train a module on the teacher, and only then the student."""

from typing import Self

from pydantic import Field, model_validator

from hviskd.distillation.method import Options


class PreparedOptions(Options):
    """The options that these methods share.

    Attributes:
        preparation: Share of the training, from the start of `during`, in which the teacher's side learns alone.
    """

    preparation: float = Field(default=0.1, gt=0, lt=1)

    @model_validator(mode="after")
    def _leaves_time_to_distil(self) -> Self:
        if self.preparation >= self.during[1] - self.during[0]:
            raise ValueError("preparation must end before `during` does, or the student never learns")
        return self

    def prepares_at(self, progress: float) -> bool:
        """Whether the teacher's module is still being trained at this fraction of the training."""
        return progress < self.during[0] + self.preparation
