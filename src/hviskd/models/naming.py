"""Names of several Models in tables, figures and files."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hviskd.file_names import safe_name

if TYPE_CHECKING:
    from hviskd.models.model import Model

_LONGEST = 60  # with what stands before and after it, a file name stays below 255 bytes


def model_names(models: Sequence["Model"], *, int8: bool = False) -> list[str]:
    """Return a name for each Model, unique regardless of case, safe in a file name, and marking int8 variants."""
    names: list[str] = []
    for model in models:
        name = safe_name(model.card.name, _LONGEST) or "model"
        name = unique = f"{name}-int8" if int8 and model.card.int8 is not None else name
        number = 1
        while unique.lower() in {other.lower() for other in names}:
            number += 1
            unique = f"{name}-{number}"
        names.append(unique)
    return names
