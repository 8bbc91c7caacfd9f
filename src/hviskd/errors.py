"""The errors that a user can correct; all packages raise them, and the command line prints them as one line.

A message names the file or parameter, says what is wrong, and says what to do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol


class HviskdError(Exception):
    """An error in the input or the request, not in the program."""


class _ValidationProblems(Protocol):
    def errors(self) -> list[Any]: ...


def first_problem(error: _ValidationProblems, *where: str) -> str:
    """Return the first problem of a pydantic ValidationError as one line: the key's path, a colon, what is wrong."""
    problem = error.errors()[0]
    path = ".".join([*where, *(str(part) for part in problem["loc"])])
    said = "unknown key" if problem["type"] == "extra_forbidden" else problem["msg"]
    return f"{path}: {said}" if path else str(said)


def in_words(error: Exception, path: object) -> str:
    """Return what is wrong with a file: of ours, what they say; of the system's errors, the file and the reason.

    `path` is the file where the system does not name it.
    """
    return f"{error.filename or path}: {error.strerror or error}" if isinstance(error, OSError) else str(error)


class DataError(HviskdError):
    """A data file or folder is missing, damaged or invalid."""


class OutputError(HviskdError):
    """The output location is not empty or cannot be written to."""


class LeakError(DataError):
    """A patient, slide, neighbouring tile or identical image appears in more than one split.

    What is wrong may be followed, as a second argument, by how a caller with `allow_leak` can go on nevertheless.
    """

    def __str__(self) -> str:
        return "".join(map(str, self.args))


@contextmanager
def without_allow_leak() -> Iterator[None]:
    """Let leaks be told without the way to go on, by functions that have no parameter `allow_leak`."""
    try:
        yield
    except LeakError as error:
        raise LeakError(error.args[0]) from error


class RecipeError(HviskdError):
    """A recipe has an unknown or inconsistent value."""


class ModelError(HviskdError):
    """A Model folder is missing, damaged or unsuitable for the request."""


class RunningError(HviskdError):
    """A cluster or one of its workers cannot do the work."""


class TrainingError(HviskdError):
    """A training cannot continue, or a run folder does not match the request."""


class DivergedError(TrainingError):
    """A loss or a weight is NaN or infinite."""
