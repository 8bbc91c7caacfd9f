"""Checks of what a user sets; the settings of all rooms call them, so that a rule has one wording.

Those of numbers take parameters by name, as the error shall name them; None passes, since it stands for a default.
"""

import math

from hviskd.errors import DataError


def require_at_least(least: int, **numbers: int | None) -> None:
    """Raise a DataError if a whole number is too small."""
    for name, number in numbers.items():
        if number is not None and number < least:
            raise DataError(f"`{name}={number}`: must be at least {least}")


def require_share(**shares: float | None) -> None:
    """Raise a DataError if a share is not from 0 to 1."""
    for name, share in shares.items():
        if share is not None and not 0 <= share <= 1:  # not NaN either
            raise DataError(f"`{name}={share}`: must be from 0 to 1")


def require_positive_share(**shares: float) -> None:
    """Raise a DataError if a share is not above 0, or is above 1."""
    for name, share in shares.items():
        if not 0 < share <= 1:
            raise DataError(f"`{name}={share}`: must be above 0 and at most 1")


def require_mpp(mpp: float | None) -> None:
    """Raise a DataError if a pixel size, in µm/px, is not a positive number."""
    if mpp is not None and not (math.isfinite(mpp) and mpp > 0):
        raise DataError(f"`mpp={mpp}`: must be above 0 µm/px")


def require_list(name: str, value: object) -> None:
    """Reject one str where several are expected: as a sequence of str, it would be its letters.

    Raises:
        DataError: The value is a str.
    """
    if isinstance(value, str):
        raise DataError(f"`{name}={value!r}`: must be a list of names; for a single one, give `{name}=[{value!r}]`")
