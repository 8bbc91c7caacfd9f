"""What a Model says of itself: `model.json`, validated on reading, complete enough to repeat the training."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Byte = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Byte, Byte, Byte]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Card(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkChoice(_Card):
    """A network of the zoo by name, and its head."""

    name: str
    head: Literal["gap", "grid"] = "gap"


class Normalisation(_Card):
    """Mean and standard deviation of each channel on a scale of 0 to 1."""

    mean: tuple[Finite, Finite, Finite]
    deviation: tuple[Finite, Finite, Finite]

    @field_validator("deviation")
    @classmethod
    def _above_zero(cls, deviation: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(deviation) <= 0:
            raise ValueError("each deviation must be above zero")
        return deviation


class Licence(_Card):
    """The licence of something this model was made from; unknown is said, not left out."""

    what: str
    licence: str | None


class DataRecord(_Card):
    """The tiles a model learned from and how independent its splits are.

    Attributes:
        name: Folder name of the TileSet; never a path.
        fingerprint: Hash over all pixels and labels.
        split_fingerprint: The same with the split.
        train_tiles: Number of tiles learned from.
        val_tiles: Number of tiles the epoch was chosen on.
        independence: One sentence on patients, slides and neighbours across the splits.
        leak_allowed: Whether the splits leak and the user asked for it.
    """

    name: str
    fingerprint: str
    split_fingerprint: str
    train_tiles: int
    val_tiles: int
    independence: str
    leak_allowed: bool


class TeacherRecord(_Card):
    """The teacher of a distilled model, and the tiles that it learned from."""

    name: str
    network: NetworkChoice
    fingerprint: str
    data: DataRecord


class ModelCard(_Card):
    """The content of `model.json`.

    Attributes:
        name: What tables and figures call this model.
        tile_px: Side of the tiles it reads.
        mpp: Size of their pixels in µm; None where the training tiles did not say.
        normalisation: What the input step does to pixels.
        recipe: The complete resolved recipe, seed and method included.
        epoch: Epochs trained when these weights were taken.
        selection: How that epoch was taken.
        metrics: Measurements on the validation split at that epoch.
        licences: The licence chain of data and teacher.
        weights_sha256: SHA-256 of `weights.safetensors`.
    """

    format_version: Literal[1] = 1
    name: str
    network: NetworkChoice
    classes: tuple[str, ...] = Field(min_length=2)
    colours: tuple[Colour, ...]
    tile_px: int = Field(ge=32, le=8192)
    mpp: float | None = Field(gt=0, allow_inf_nan=False)
    normalisation: Normalisation
    data: DataRecord
    teacher: TeacherRecord | None
    recipe: dict[str, Any]
    epoch: int
    selection: str
    metrics: dict[str, float | None]
    licences: tuple[Licence, ...]
    versions: dict[str, str]
    created: str
    weights_sha256: str = ""

    @model_validator(mode="after")
    def _classes_and_colours_match(self) -> "ModelCard":
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("two classes have the same name")
        if len(self.colours) != len(self.classes):
            raise ValueError(f"{len(self.classes)} classes and {len(self.colours)} colours")
        return self
