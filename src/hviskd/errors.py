"""The errors a person can mend; every room raises them and the command line prints them as one line.

A message names the file (or the option), says what is wrong, and says what to do.
"""

from typing import Any, Protocol


class HviskdError(Exception):
    """A mistake in the input or the request; never a fault of the program."""


class _ValidationProblems(Protocol):
    def errors(self) -> list[Any]: ...


def first_problem(error: _ValidationProblems, *where: str) -> str:
    """Give the first problem of a pydantic ValidationError as one line: the key's path, a colon, what is wrong."""
    problem = error.errors()[0]
    path = ".".join([*where, *(str(part) for part in problem["loc"])])
    return f"{path}: {problem['msg']}" if path else str(problem["msg"])


class DataError(HviskdError):
    """A file or folder of data is missing, damaged, or not what it should be."""


class OutputError(HviskdError):
    """The place where results are to stand is full, or cannot be written to."""


class LeakError(DataError):
    """A patient, slide, neighbouring tile or identical picture stands in more than one split."""


class RecipeError(HviskdError):
    """A recipe asks for something that does not exist or does not fit together."""


class ModelError(HviskdError):
    """A model folder is missing, damaged, or does not fit what it is asked to do."""


class TrainingError(HviskdError):
    """A training cannot go on, or a run folder does not fit the request."""


class DivergedError(TrainingError):
    """A loss or a weight is no longer finite."""
