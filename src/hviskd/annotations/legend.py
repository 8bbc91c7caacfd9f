"""Legends: the meaning of the colours and labels of an annotation.

A legend is a YAML file:

    name: lesion
    classes:
      - {name: tumour, colours: [[200, 0, 0]]}
      - {name: stroma, colours: [[0, 160, 0], [0, 170, 10]]}
      - {name: necrosis, colours: [[5, 5, 5]]}
    merge:
      necrosis: tumour

A class may have several colours; the first is the one it is drawn in. `merge` counts a class as another one. `none:
[[0, 0, 0]]` lists colours that stand for nothing. Masks whose px are class numbers are read by `numbers: {1: tumour,
2: stroma}`; such a legend may do without `classes`.
"""

import unicodedata
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from hviskd.annotations.words import one_line
from hviskd.arrays import NO_CLASS_BYTE, Colour
from hviskd.colours import class_colours
from hviskd.errors import DataError
from hviskd.plain_yaml import PlainLoader

LEGEND_LIMIT_BYTES = 2**16
LEGEND_LIMIT_CLASSES = 200  # class indices are stored as uint8, and the highest are kept for "no class"

Byte = Annotated[int, Field(ge=0, le=255, strict=True)]
MaskColour = tuple[Byte, Byte, Byte]
ClassNumber = Annotated[int, Field(ge=0, le=65535, strict=True)]


def _plain(text: str) -> str:
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise ValueError("contains a line break or another control character; write it on one line")
    return one_line(text)  # as labels are read, so that they meet


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError("is empty; give a name")
    return text


Name = Annotated[str, AfterValidator(_plain), AfterValidator(_not_empty)]


class LegendClass(BaseModel):
    """One class of a legend: its name, and its colours in a mask."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    colours: tuple[MaskColour, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.colours)) < len(self.colours):
            raise ValueError(f"class {self.name} lists a colour twice")
        return self


class Legend(BaseModel):
    """Class names in order, their colours in a mask, and which classes are merged into others.

    Attributes:
        name: Name of the legend.
        classes: All classes of the legend, including merged ones.
        merge: Class → the class it counts as. A merged class has no index of its own.
        none: Colours of a mask without a class.
        numbers: Class number in a mask → class. If given, masks are read as numbers, not colours; 0 has no class unless
            it is listed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    classes: tuple[LegendClass, ...] = Field(min_length=1, max_length=LEGEND_LIMIT_CLASSES)
    merge: dict[Name, Name] = {}
    none: tuple[MaskColour, ...] = ()
    numbers: dict[ClassNumber, Name] = {}

    @model_validator(mode="before")
    @classmethod
    def _classes_of_numbers(cls, content: Any) -> Any:
        """Take the classes from the numbers if a legend lists nothing else."""
        numbers = content.get("numbers") if isinstance(content, dict) and "classes" not in content else None
        if isinstance(numbers, dict) and all(isinstance(name, str) for name in numbers.values()):
            return content | {"classes": [{"name": name} for name in dict.fromkeys(numbers.values())]}
        return content

    @model_validator(mode="after")
    def _check(self) -> Self:
        listed = {entry.name for entry in self.classes}
        if len({name.casefold() for name in listed}) < len(self.classes):
            raise ValueError("two classes have the same name (case is ignored)")
        owners: dict[MaskColour, str] = dict.fromkeys(self.none, "none")
        for entry in self.classes:
            if not entry.colours and not self.numbers:
                raise ValueError(f"class {entry.name} has no colour; add one, for example colours: [[200, 0, 0]]")
            for colour in entry.colours:
                if colour in owners:
                    raise ValueError(f"classes {owners[colour]} and {entry.name} have the same colour, {list(colour)}")
                owners[colour] = entry.name
        for number, name in self.numbers.items():
            if name not in listed:
                raise ValueError(f"numbers has '{number}: {name}', but {name} is not a class")
        numbered = {self.merge.get(name, name) for name in self.numbers.values()}
        for name in listed - self.merge.keys() - numbered if self.numbers else ():
            raise ValueError(f"class {name} has no number; add it to numbers")
        for merged, target in self.merge.items():
            if merged not in listed or target not in listed:
                raise ValueError(f"merge has '{merged}: {target}', but both must be classes")
            if target in self.merge:
                raise ValueError(f"merge has '{merged}: {target}', but '{target}' is itself merged")
        return self

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Class names in order; a class index is a position in this list."""
        return tuple(entry.name for entry in self.classes if entry.name not in self.merge)

    @cached_property
    def colours(self) -> tuple[Colour, ...]:
        """The RGB colour to draw each class in, in the order of `names`."""
        spare = class_colours(len(self.classes))
        entries = zip(self.classes, spare, strict=True)
        return tuple((entry.colours or (other,))[0] for entry, other in entries if entry.name not in self.merge)

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        merged = {name: ", ".join(one for one, into in self.merge.items() if into == name) for name in self.names}
        rows = [
            (show.swatch(colour), name, merged[name] or None)
            for name, colour in zip(self.names, self.colours, strict=True)
        ]
        columns = 3 if self.merge else 2
        header = ("", "class", "with the merged classes")
        return show.paragraph(f"legend {self.name}") + show.table(
            header[:columns], [row[:columns] for row in rows], html=(0,)
        )

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {
            entry.name.casefold(): self.names.index(self.merge.get(entry.name, entry.name)) for entry in self.classes
        }

    def index(self, label: str) -> int | None:
        """Return the class index of a label, regardless of case; None if the legend has no such class."""
        return self._positions.get(label.strip().casefold())

    def palette(self) -> tuple[np.ndarray, np.ndarray]:
        """Return every mask colour (K, 3) int64 and its class index (K,) uint8; 255 for those without a class."""
        pairs = [(colour, self._positions[e.name.casefold()]) for e in self.classes for colour in e.colours]
        pairs += [(colour, NO_CLASS_BYTE) for colour in self.none]
        colours = np.array([colour for colour, _ in pairs], dtype=np.int64).reshape(-1, 3)
        return colours, np.array([index for _, index in pairs], dtype=np.uint8)

    def number_table(self) -> dict[int, int]:
        """Return the class index of every number in a mask."""
        return {number: self._positions[name.casefold()] for number, name in self.numbers.items()}


class _NoAliases(PlainLoader):
    """Rejects aliases: they may expand to more than memory holds, and no legend needs one."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases such as *name are not allowed; write the value in full")
        return super().compose_node(parent, index)


def built_in_legends() -> tuple[str, ...]:
    """Return the names of the built-in legends."""
    folder = resources.files("hviskd.annotations") / "legends"
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir()))


def load_legend(name_or_path: str | Path) -> Legend:
    """Return a built-in legend by name, or read one from a YAML file.

    Raises:
        DataError: There is no such legend or file, or the file is not a legend.
    """
    if str(name_or_path) in built_in_legends():
        text = (resources.files("hviskd.annotations") / "legends" / f"{name_or_path}.yaml").read_text("utf-8")
    else:
        text = _read_legend_file(Path(name_or_path))
    try:
        content = yaml.load(text, Loader=_NoAliases)  # noqa: S506 - it is a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{name_or_path}: not valid YAML ({one_line(str(error))}); correct the legend") from error
    try:
        return Legend.model_validate(content)
    except ValidationError as error:
        wrong = "an empty file" if content is None else one_line(_in_words(error.errors()[0]))
        raise DataError(f"{name_or_path}: {wrong}; correct the legend") from error


def _in_words(problem: Any) -> str:
    """Describe a pydantic error in a legend author's words, with its place in the file."""
    *_, key = place = problem["loc"] or ("legend",)
    of_class = place[0] == "classes" and len(place) > 1
    keys = "a class has name, colours" if of_class else "a legend has name, classes, merge, none, numbers"
    said = {
        "value_error": str(problem.get("ctx", {}).get("error")),
        "missing": f"is missing; {keys}",
        "extra_forbidden": f"unknown key '{key}'; {keys}",
        "invalid_key": f"unknown key '{key}'; {keys}",
        "string_type": "must be text; put it in quotes",
        "model_type": f"must be keys with values; {keys}",
    }.get(problem["type"])
    if "colours" in place and (len(place) > 3 or said is None):
        said = "must be a list of [red, green, blue], each 0 to 255, for example [[200, 0, 0]]"
    elif place[0] == "none":
        said = "must be a list of [red, green, blue], each 0 to 255, for example [[0, 0, 0]]"
    elif place[0] == "numbers" and problem["type"] != "value_error":
        said = "must map numbers from 0 to 65535 to classes, for example {1: tumour}"
    elif place[0] == "merge" and problem["type"] != "value_error":
        said = "must map class names to class names, for example {necrosis: tumour}; omit it to merge none"
    elif said is None:
        said = f"must be a list of 1 to {LEGEND_LIMIT_CLASSES} classes"
    return f"{'.'.join(map(str, place))}: {said}"


def _read_legend_file(path: Path) -> str:
    if not path.is_file():
        known = ", ".join(built_in_legends())
        raise DataError(f"{path}: neither a built-in legend ({known}) nor a file")
    if path.stat().st_size > LEGEND_LIMIT_BYTES:
        raise DataError(f"{path}: larger than {LEGEND_LIMIT_BYTES // 2**10} KiB, so not a legend")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not text in UTF-8; a legend is a YAML file") from error
