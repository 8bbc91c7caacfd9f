"""The card of a Model, `model.json`: validated on reading, and complete enough to repeat the training."""

import json
import math
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from hviskd.checks import require_mpp
from hviskd.errors import ModelError
from hviskd.file_names import safe_name
from hviskd.models.coarse_to_fine import CoarseToFineRecord
from hviskd.networks import HeadKind, NetworkInput, create_network
from hviskd.networks.network_input import IMAGENET_DEVIATION, IMAGENET_MEAN
from hviskd.networks.weights_report import WeightsReport
from hviskd.slides.stain import Stain

if TYPE_CHECKING:
    from hviskd.networks import Network

Byte = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Byte, Byte, Byte]
Finite = Annotated[float, Field(allow_inf_nan=False)]

_SAME_MPP = 1e-6  # relative; a user repeats the number of the card


class _Card(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NetworkChoice(_Card):
    """A network by name, and its head.

    Attributes:
        projector: Channels and reduction of the projector before a classifier that is the teacher's; None where the
            network has its own head.
        arguments: What the network was built with, where its name does not say all.
        own_input: What such a network does with an image first; None before it is built, and for networks of the zoo.
    """

    name: str
    head: HeadKind = "gap"
    projector: tuple[Annotated[int, Field(ge=1, le=65536)], Annotated[int, Field(ge=1, le=64)]] | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)
    own_input: NetworkInput | None = None

    @property
    def slug(self) -> str:
        """Name, head and arguments as part of a file name."""
        told = json.dumps(self.arguments, sort_keys=True).encode()
        return safe_name(f"{self.name}-{self.head}") + (f"-{sha256(told).hexdigest()[:8]}" if self.arguments else "")

    def build(self, num_classes: int, tile_px: int) -> "Network":
        """Build the network with random weights.

        Raises:
            RecipeError: There is no such network, or timm is missing.
        """
        return create_network(
            self.name,
            num_classes,
            self.head,
            self.projector,
            tile_px=tile_px,
            arguments=self.arguments,
            own_input=self.own_input,
        )

    def completed_by(self, other: "NetworkChoice") -> Self:
        """Return the choice with the other's arguments and input, if nothing stated here contradicts the other."""
        stated = self.name == other.name and self.arguments.items() <= other.arguments.items()
        return self.model_copy(update={"arguments": other.arguments, "own_input": other.own_input}) if stated else self

    def settled(self, network: "Network") -> Self:
        """Return the same choice with everything that this network, built from it, was built with."""
        return self.model_copy(update={"arguments": dict(network.arguments), "own_input": network.own_input})


class Normalisation(_Card):
    """Mean and standard deviation of each channel on a scale of 0 to 1."""

    mean: tuple[Finite, Finite, Finite]
    deviation: tuple[Finite, Finite, Finite]

    @field_validator("deviation")
    @classmethod
    def _above_zero(cls, deviation: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(deviation) <= 0:
            raise ValueError("each standard deviation must be above zero")
        return deviation


IMAGENET = Normalisation(mean=IMAGENET_MEAN, deviation=IMAGENET_DEVIATION)


class Licence(_Card):
    """The licence of something that this model was made from; an unknown licence is listed as unknown.

    Attributes:
        terms: What it says against passing on a student distilled from that; None if nothing.
    """

    what: str
    licence: str | None
    terms: str | None = None

    def __str__(self) -> str:
        return f"{self.what}: {self.licence or 'licence unknown'}" + (f", {self.terms}" if self.terms else "")


class UnlabelledRecord(_Card):
    """Tiles that a model learned from without labels.

    Attributes:
        name: Folder name of the TileSet; never a path.
        fingerprint: Hash over the pixels of the tiles that joined.
        data: Fingerprint of the whole TileSet.
        tiles: How many tiles joined.
    """

    name: str
    fingerprint: str
    data: str
    tiles: int


class DataRecord(_Card):
    """The tiles that a model was trained on, and the independence of its splits.

    Attributes:
        name: Folder name of the TileSet; never a path.
        fingerprint: Hash over all pixels and labels.
        split_fingerprint: The same with the split.
        train_tiles: Number of tiles learned from.
        val_tiles: Number of tiles the epoch was chosen on.
        independence: One sentence on patients, slides and neighbours across the splits.
        leak_allowed: Whether the splits leak and the user asked for it.
        unlabelled: The unlabelled tiles that joined; None without such.
    """

    name: str
    fingerprint: str
    split_fingerprint: str
    train_tiles: int
    val_tiles: int
    independence: str
    leak_allowed: bool
    unlabelled: UnlabelledRecord | None = None


class TeacherRecord(_Card):
    """The teacher of a distilled model, and the tiles that it was trained on.

    Attributes:
        weak: Why it is no better than a guess on the validation split; empty if it is better or could not be judged.
    """

    name: str
    network: NetworkChoice
    fingerprint: str
    data: DataRecord
    weak: str = ""


class Int8Record(_Card):
    """The int8 variant of a Model, `int8.onnx`, compared with the float weights that it was made from.

    Attributes:
        sha256: SHA-256 of the file.
        data: Name of the TileSet it was calibrated and measured on; never a path.
        data_fingerprint: Hash over all its pixels and labels.
        calibration_split: The split whose tiles the value ranges were taken from.
        calibration_tiles: How many of them.
        val_tiles: Number of tiles of the val split, on which both were measured.
        top1_float: Share of them that the float weights name rightly.
        top1_int8: The same of the int8 variant.
        agreement: Share of them on which both name the same class.
        largest_difference: Of a probability, int8 to float, on the tiles every engine is checked with.
        engine: The library that measured it, with its version.
    """

    sha256: str
    data: str
    data_fingerprint: str
    calibration_split: Literal["train", "val"]
    calibration_tiles: int = Field(ge=1)
    val_tiles: int = Field(ge=1)
    top1_float: float = Field(ge=0, le=1)
    top1_int8: float = Field(ge=0, le=1)
    agreement: float = Field(ge=0, le=1)
    largest_difference: float = Field(ge=0, le=1)
    engine: str


class CalibrationRecord(_Card):
    """The calibration of a Model's probabilities.

    Attributes:
        temperature: The weights of the classifier were divided by it (Guo et al. 2017); above 1, the Model was
            overconfident.
        data: Name of the TileSet it was fitted on; never a path.
        data_fingerprint: Hash over all its pixels and labels.
        val_tiles: Number of tiles of its validation split.
        nll_before: Mean negative log-likelihood (nats) of the true class on them, before calibration.
        nll_after: The same afterwards; optimistic, since the temperature was fitted on these tiles.
        ece_before: Expected calibration error on them, before calibration.
        ece_after: The same afterwards; optimistic for the same reason.
        accuracy: Accuracy required of the tiles at or above the threshold.
        unsure_below: The threshold: lowest top probability from which on that accuracy is reached; None if it never is.
        sure_share: Fraction of the validation tiles at or above it; 0 if there is none.
    """

    temperature: float = Field(gt=0, allow_inf_nan=False)
    data: str
    data_fingerprint: str
    val_tiles: int = Field(ge=1)
    nll_before: float = Field(ge=0, allow_inf_nan=False)
    nll_after: float = Field(ge=0, allow_inf_nan=False)
    ece_before: float = Field(ge=0, le=1)
    ece_after: float = Field(ge=0, le=1)
    accuracy: float = Field(gt=0, le=1)
    unsure_below: float | None = Field(ge=0, le=1)
    sure_share: float = Field(ge=0, le=1)


class BeforeAndAfter(_Card):
    """Balanced accuracy of a student on one split, before and after it was adapted.

    Attributes:
        data: Name of the TileSet; never a path.
        split: The split.
        tiles: Its number of tiles.
    """

    data: str
    split: str
    tiles: int = Field(ge=1)
    before: float = Field(ge=0, le=1)
    after: float = Field(ge=0, le=1)

    def __str__(self) -> str:
        return f"{self.before:.3f} → {self.after:.3f} on {self.tiles:,} tiles ({self.split} split of {self.data})"


class AdaptationRecord(_Card):
    """How a Model was adapted to a place of which there were tiles without labels.

    Attributes:
        student: Name of the Model it was before.
        fingerprint: SHA-256 of that Model's weights.
        home: What the student had learned from.
        place: Labelled tiles of the new place; None if there were none to measure on.
    """

    student: str
    fingerprint: str
    home: BeforeAndAfter
    place: BeforeAndAfter | None = None

    def __str__(self) -> str:
        there = f"there {self.place}" if self.place else "not measured there, for want of labels"
        return f"adapted to another place without labels: balanced accuracy at home {self.home}; {there}"


class ModelCard(_Card):
    """The content of `model.json`.

    Attributes:
        name: Its name in tables and figures.
        tile_px: Side of its tiles.
        mpp: Their pixel size in µm/px; None if the training tiles did not record it.
        normalisation: Mean and standard deviation of the input step.
        stain: Reference stain to which the training tiles were normalised, and to which a slide must be; None if they
            kept their own.
        icc: Whether the training tiles were converted to sRGB by their slides' ICC profiles, as a slide must be.
        recipe: The complete resolved recipe, seed and method included.
        epoch: Number of epochs these weights were trained for.
        selection: How that epoch was selected.
        metrics: Measurements on the validation split at that epoch.
        licences: The licence chain of data and teacher.
        weights_sha256: SHA-256 of `weights.safetensors`.
        int8: The int8 variant, compared with the weights; None if there is none.
        calibration: How its probabilities were calibrated; None if they were not.
        pretrained: The weights that its training started from; None if those were drawn at random.
        adaptation: How it was adapted to another place; None if it was not.
        coarse_to_fine: From which probability on its class at low power stands for that at full power; None if it does
            not read low power.
    """

    format_version: Literal[1] = 1
    name: str
    network: NetworkChoice
    classes: tuple[str, ...] = Field(min_length=2)
    colours: tuple[Colour, ...]
    tile_px: int = Field(ge=32, le=8192)
    mpp: float | None = Field(gt=0, le=1000, allow_inf_nan=False)
    normalisation: Normalisation
    stain: Stain | None = None
    icc: bool = False
    data: DataRecord
    teacher: TeacherRecord | None
    recipe: dict[str, Any]
    epoch: int
    selection: str
    metrics: dict[str, Finite | None]
    licences: tuple[Licence, ...]
    versions: dict[str, str]
    created: str
    weights_sha256: str = ""
    int8: Int8Record | None = None
    calibration: CalibrationRecord | None = None
    pretrained: WeightsReport | None = None
    adaptation: AdaptationRecord | None = None
    coarse_to_fine: CoarseToFineRecord | None = None

    @property
    def meaning(self) -> str:
        """SHA-256 of what gives the weights their meaning: network, classes in order, tile, input, stain and ICC."""
        network, normalisation, stain = self.network, self.normalisation, self.stain
        told: list[object] = [network.name, network.head, network.projector, self.classes, self.tile_px, self.mpp]
        told += [normalisation.mean, normalisation.deviation]
        told += [] if stain is None else [stain.method, stain.vectors, stain.max_concentrations]
        told += [] if stain is None else [stain.lab_mean, stain.lab_sd, stain.problem]
        told += ["sRGB by ICC profile"] if self.icc else []
        if network.arguments or network.own_input is not None:
            own_input = None if network.own_input is None else network.own_input.model_dump(mode="json")
            told += [network.arguments, own_input]
        return sha256(json.dumps(told).encode()).hexdigest()

    def at_low_power(self) -> "ModelCard":
        """Return the card of the same weights as they read tiles at low power: half the px, twice the µm/px."""
        mpp = None if self.mpp is None else 2 * self.mpp
        return self.model_copy(update={"tile_px": self.tile_px // 2, "mpp": mpp, "int8": None})

    def settle_mpp(self, given: float | None) -> float | None:
        """Return the µm/px of the tiles: the card's, or, where it records none, the one that a user gives.

        Raises:
            DataError: `given` is not positive.
            ModelError: The card records another.
        """
        require_mpp(given)
        if self.mpp is None:
            return given
        if given is not None and not math.isclose(given, self.mpp, rel_tol=_SAME_MPP):
            raise ModelError(f"{self.name}: was trained at {self.mpp:g} µm/px; omit `mpp={given:g}`")
        return self.mpp

    @model_validator(mode="after")
    def _classes_and_colours_match(self) -> "ModelCard":
        for name in self.classes:
            if not name.strip() or not name.isprintable():
                raise ValueError(f"class name {name!a}: a name must be printable and not empty")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("two classes have the same name")
        if len(self.colours) != len(self.classes):
            raise ValueError(f"{len(self.classes)} classes but {len(self.colours)} colours")
        return self


def untrained_card(network: NetworkChoice, classes: Sequence[str], tile_px: int, mpp: float | None = None) -> ModelCard:
    """Return the card of an untrained network, for example to measure its cost."""
    nothing = DataRecord(
        name="none",
        fingerprint="",
        split_fingerprint="",
        train_tiles=0,
        val_tiles=0,
        independence="not trained",
        leak_allowed=False,
    )
    return ModelCard(
        name=network.name,
        network=network,
        classes=tuple(classes),
        colours=tuple((number * 255 // len(classes), 99, 200) for number in range(len(classes))),
        tile_px=tile_px,
        mpp=mpp,
        normalisation=IMAGENET,
        data=nothing,
        teacher=None,
        recipe={},
        epoch=0,
        selection="not trained",
        metrics={},
        licences=(),
        versions={},
        created="",
    )
