"""The card of a TileSet: its classes, tile size and provenance."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from hviskd.errors import DataError, first_problem
from hviskd.slides.stain import Stain
from hviskd.storage import read_json

FORMAT_VERSION = 1
CARD_FILE = "tileset.json"

Byte = Annotated[int, Field(ge=0, le=255)]
Rgb = tuple[Byte, Byte, Byte]


class Origin(BaseModel):
    """The provenance of a TileSet.

    Attributes:
        verb: The command, such as `tiles import`.
        source: Where the pictures came from, as the user wrote it.
        options: The options that shaped the result.
        licence: The licence of the source in the user's words, or None if none was stated.
        photographs: The pictures are no tissue but photographs, each on its own: there are no patients to know.
        dropped: Why and how often something was left out; the counts are complete.
        dropped_files: The first of what was left out, by name and with the reason.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    verb: str
    source: str | None = None
    options: dict[str, JsonValue] = Field(default_factory=dict)
    licence: str | None = None
    photographs: bool = False
    dropped: dict[str, int] = Field(default_factory=dict)
    dropped_files: tuple[str, ...] = ()


class TileSetCard(BaseModel):
    """The facts that apply to all tiles of a TileSet.

    Attributes:
        format_version: The layout of the folder.
        classes: Class names; a label is a position in them. None at all where the tiles have no labels.
        colours: One RGB colour a class, in the same order.
        tile_px: Side of every tile in pixels.
        mpp: µm per tile pixel, or None if unknown.
        origin: What made the TileSet.
        stain: The stain that all tiles were given; None where each slide kept its own.
        icc: Whether pixels were converted to sRGB by the ICC profiles of the slides that have one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1]
    classes: tuple[str, ...]
    colours: tuple[Rgb, ...]
    tile_px: int = Field(gt=0, le=10_000)
    mpp: float | None = Field(gt=0, allow_inf_nan=False)
    origin: Origin
    stain: Stain | None = None
    icc: bool = False

    @model_validator(mode="after")
    def _classes_are_distinct(self) -> Self:
        if len(set(self.classes)) < len(self.classes) or not all(name.strip() for name in self.classes):
            raise ValueError("class names must be different and not blank")
        if len(self.colours) != len(self.classes):
            raise ValueError(f"{len(self.classes)} classes but {len(self.colours)} colours")
        return self


def read_card(path: Path) -> TileSetCard:
    """Read and check a card.

    Raises:
        DataError: The file is missing, no JSON, of another format version, or not a card.
    """
    content = read_json(path)
    version = content.get("format_version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise DataError(f"{path}: format version {version} needs a newer hviskd; update hviskd")
    return check_card(content, path)


def check_card(content: object, path: Path) -> TileSetCard:
    """Convert plain content to a card.

    Raises:
        DataError: A key is missing, unknown, or has an impossible value; the message names it and `path`.
    """
    try:
        return TileSetCard.model_validate(content)
    except ValidationError as error:
        raise DataError(f"{path}: not the card of a TileSet ({first_problem(error)})") from error
