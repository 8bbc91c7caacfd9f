"""The interface of all distillation methods, and what training passes to them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor, nn

from hviskd.errors import RecipeError

Shape = tuple[int, int, int]
Place = int | Literal["last"]  # of a map: a stage, or the one that the head averages
NEEDS = frozenset({"teacher", "preactivations", "blocks", "trained_teacher", "teacher_head"})


class Trace(Protocol):
    """The intermediate results of one forward pass of a network."""

    @property
    def stages(self) -> list[Tensor]:
        """Feature maps (B, C, H, W) of the stem and of every stage, after activation."""

    @property
    def preactivations(self) -> list[Tensor] | None:
        """The same feature maps before activation, if a method needs them."""

    @property
    def blocks(self) -> list[Tensor] | None:
        """Feature maps (B, C, H, W) of every block of every stage, after activation, if a method needs them."""

    @property
    def class_tokens(self) -> list[Tensor] | None:
        """A transformer's class token (B, D) beside each of `stages`; None where the network has none."""

    @property
    def last(self) -> Tensor:
        """The feature map (B, C, H, W) that the head averages."""

    @property
    def embedding(self) -> Tensor:
        """The vectors (B, D) that the classifier reads."""

    @property
    def logits(self) -> Tensor:
        """Logits (B, K)."""

    @property
    def class_weights(self) -> Tensor:
        """The classifier's weight matrix (K, D)."""


class Shapes(Protocol):
    """The shapes of a network's Traces, known before the first batch."""

    @property
    def stages(self) -> Sequence[Shape]:
        """(C, H, W) of the stem and of every stage."""

    @property
    def blocks(self) -> Sequence[Shape]:
        """(C, H, W) of every block of every stage."""

    @property
    def last(self) -> Shape:
        """(C, H, W) of the feature map that the head averages."""

    @property
    def embedding(self) -> int:
        """Length D of the vector that the classifier reads."""


@dataclass(frozen=True)
class View:
    """Another view of a batch that a method requested, with both networks' Traces of it."""

    images: Tensor
    student: Trace
    teacher: Trace | None


@dataclass  # not frozen: Lightning converts inputs and outputs of a wrapped module field by field
class Batch:
    """The tiles of one training step.

    Attributes:
        images: (B, 3, H, W) as the networks take them.
        labels: (B,); -1 for tiles without label.
        index: Positions (B,) in the training split; -1 for tiles without label, which are not of it.
        views: What methods asked for in `Method.views`, by name.
        progress: Share of the training that is done, from 0 to below 1.
        teacher: What was stored of the teacher's Trace of these tiles; None if the teacher runs with the student.
        labelled: How many tiles have labels, the first of the batch; None: all.
        again: Whether these tiles were seen in this step before, at full power, so that no memory takes them twice.
    """

    images: Tensor
    labels: Tensor
    index: Tensor
    views: Mapping[str, View] = field(default_factory=dict)
    progress: float = 0.0
    teacher: Trace | None = None
    labelled: int | None = None
    again: bool = False


@dataclass(frozen=True)
class Reads:
    """What a method reads of a teacher, so that it can be stored once; logits and class weights always are.

    Attributes:
        embedding: Whether it reads the vector before the classifier.
        pooled: Places of which it reads the mean over the map.
        regions: Places, and the sides of the grids to which it averages their maps.
        tokens: Stages of which it reads the class token, or, of a network without, the mean over the map.
        memory: Whether it reads the mean over the last map of all tiles at once, before the first step (`remember`).
    """

    embedding: bool = False
    pooled: frozenset[Place] = frozenset()
    regions: frozenset[tuple[Place, int]] = frozenset()
    tokens: frozenset[int] = frozenset()
    memory: bool = False

    def __or__(self, other: "Reads") -> "Reads":
        """Return what either reads."""
        return Reads(
            self.embedding or other.embedding,
            self.pooled | other.pooled,
            self.regions | other.regions,
            self.tokens | other.tokens,
            self.memory or other.memory,
        )


@dataclass(frozen=True)
class Setting:
    """Everything known before the first batch, from which a method builds its adapters and memories.

    Attributes:
        student: Shapes of the student's maps.
        teacher: The same of the teacher; None in a training without one.
        num_classes: Number of classes K.
        labels: Labels (N,) of the whole training split, int64; a batch's `index` points into it.
        label_weights: How much a tile of each class counts in cross-entropies with the labels (K,); None: all alike.
    """

    student: Shapes
    teacher: Shapes | None
    num_classes: int
    labels: Tensor
    label_weights: Tensor | None = None


class Options(BaseModel):
    """A method's options in a recipe; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weight: float = Field(default=1.0, ge=0, allow_inf_nan=False, description="Weight of the whole method.")
    during: tuple[float, float] = Field(
        default=(0.0, 1.0), description="Part of the training in which the method is active, as fractions."
    )

    @field_validator("during")
    @classmethod
    def _a_stretch_of_the_training(cls, during: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= during[0] < during[1] <= 1:
            raise ValueError("two fractions of the training from 0 to 1, the first below the second")
        return during

    def counts_at(self, progress: float) -> bool:
        """Whether the method is active at this fraction of the training."""
        return self.during[0] <= progress < self.during[1]


_AnyOptions = Options  # in a Method, `Options` are its own


class Method(nn.Module):
    """A distillation method: adapters and memories are its parameters and buffers, losses its output.

    One optimizer sees a method's parameters beside the student's, one checkpoint keeps its buffers, and both are
    thrown away with it after training.

    Attributes:
        name: What recipes call it.
        Options: What its options in a recipe are.
        needs: What the training must provide: "teacher" (a teacher at all), "preactivations" and "blocks" (in every
            Trace), "trained_teacher" (the teacher is a peer that learns too), "teacher_head" (the student is built
            with a projector, `options.reduction` times narrower inside, and a copy of the teacher's classifier).
        phased: Whether some of its parameters get no gradient during a part of the training.
        reads_labels: Whether it reads `batch.labels` or `batch.index`; then it sees only the labelled tiles of a batch.
        weights: The weight of each loss that `forward` returns, by its name.
    """

    name: ClassVar[str]
    Options: ClassVar[type[_AnyOptions]]
    needs: ClassVar[frozenset[str]] = frozenset()
    phased: ClassVar[bool] = False
    reads_labels: ClassVar[bool] = True
    weights: dict[str, float]

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        unknown = cls.needs - NEEDS
        if unknown:
            raise TypeError(f"{cls.__name__}.needs: {min(unknown)!r} is not one of {', '.join(sorted(NEEDS))}")

    def views(self, images: Tensor) -> Mapping[str, Tensor]:
        """Return other views of the images by name; both networks run on them, and `batch.views` has the results.

        A view may show the batch several times over, each time whole and in its order.
        """
        return {}

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return the named, unweighted losses of one batch, each a scalar."""
        raise NotImplementedError

    def reads(self) -> Reads | None:
        """Return what it reads of the teacher; None if it needs whole maps, other views, or a teacher that learns."""
        return None if "teacher" in self.needs else Reads()

    def remember(self, stored: Callable[[], Iterable[Tensor]]) -> None:
        """Prepare for what it `reads` as memory: each call of `stored` gives all vectors (n, C), chunk by chunk."""

    def learned(self) -> dict[str, float]:
        """Return learned scalars to log, by name."""
        return {}

    def undecayed(self) -> list[nn.Parameter]:
        """Return the parameters without weight decay, for example learned variances."""
        return []


def paired_shapes(setting: Setting, pairs: Sequence[tuple[Place, Place]], who: str) -> list[tuple[Shape, Shape]]:
    """Return the teacher's and the student's shape of each (teacher stage, student stage) pair.

    Raises:
        RecipeError: A stage does not exist in its network.
    """
    assert setting.teacher is not None

    def shape(role: str, network: Shapes, place: Place) -> Shape:
        if place == "last":
            return network.last
        if not 0 <= place < len(network.stages):
            raise RecipeError(
                f"methods.{who}.stages: the {role} has no stage {place}, only 0 (stem) to {len(network.stages) - 1}"
            )
        return network.stages[place]

    teacher, student = setting.teacher, setting.student
    return [(shape("teacher", teacher, theirs), shape("student", student, ours)) for theirs, ours in pairs]


def total_loss(losses: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Return the weighted sum of named losses."""
    return torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
