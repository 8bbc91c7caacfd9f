"""The report on weights that a network started from, as it is printed and stands on a card."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict


class WeightsReport(BaseModel):
    """What a network started from.

    Attributes:
        name: Of the file, folder or hub id; never a path.
        sha256: Of the file.
        licence: Its identifier; None if it is unknown.
        terms: What the licence says against passing on a student; None if nothing.
        matched: How the tensors were matched.
        taken: Number of tensors taken.
        random: Names of the network's tensors, except the classifier's, that the file did not have; the first few.
        random_count: How many they are.
        unused: Names of the file's tensors that were not taken; the first few.
        unused_count: How many they are.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    sha256: str
    licence: str | None
    terms: str | None
    matched: str
    taken: int
    random: tuple[str, ...]
    random_count: int
    unused: tuple[str, ...]
    unused_count: int

    def __str__(self) -> str:
        told = f"weights {self.name}: {self.taken} tensors taken {self.matched}"
        if self.random_count:
            told += f"; {self.random_count} not in the file remain random ({some_of(self.random, self.random_count)})"
        if self.unused_count:
            told += f"; {self.unused_count} of the file unused ({some_of(self.unused, self.unused_count)})"
        return f"{told}; licence {self.licence or 'unknown'}" + (f": {self.terms}" if self.terms else "")


def some_of(names: Sequence[str], count: int | None = None) -> str:
    """Return the first of `count` names, and that there are more."""
    shown = list(names)[:3]
    return ", ".join(shown) + (", …" if (count or len(names)) > len(shown) else "")
