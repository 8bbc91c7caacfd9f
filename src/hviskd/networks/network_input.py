"""What a network is described by on a card besides its name: its head, and what it does with an image first."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

TIMM = "timm:"  # stands before the names of timm's networks

# Mean and standard deviation, on a scale of 0 to 1, of the images that every network is given.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)

_Finite = Annotated[float, Field(allow_inf_nan=False)]
_AboveZero = Annotated[float, Field(gt=0, allow_inf_nan=False)]
HeadKind = Literal["gap", "grid", "token"]
Interpolation = Literal["bilinear", "bicubic", "nearest"]


class NetworkInput(BaseModel):
    """The input of a network that differs from the one all networks are given.

    Attributes:
        mean: Of each channel, on a scale of 0 to 1.
        deviation: Standard deviation of each channel on the same scale.
        px: Side to which images are resized; None where the network takes any size.
        interpolation: How they are resized.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean: tuple[_Finite, _Finite, _Finite] = IMAGENET_MEAN
    deviation: tuple[_AboveZero, _AboveZero, _AboveZero] = IMAGENET_DEVIATION
    px: int | None = Field(default=None, ge=8, le=4096)
    interpolation: Interpolation = "bicubic"
