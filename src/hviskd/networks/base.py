"""The common structure of all networks, stem → stages → head; `zoo` builds them."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from types import MappingProxyType
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, nn

from hviskd.errors import RecipeError
from hviskd.networks.network_input import HeadKind, NetworkInput
from hviskd.networks.projector import build_projector

_ZOO_HEADS = ("gap", "grid")
_OF_NO_SHAPE = (nn.BatchNorm2d, nn.ReLU, nn.ReLU6)  # they change none, and without content take longer than to convolve
Module = TypeVar("Module", bound=nn.Module)
Shape = tuple[int, int, int]
MIN_IMAGE_PX = 32  # below this the deepest stages would see only padding


@dataclass(frozen=True)
class Backbone:
    """The parts that an architecture file builds: everything except the classifier.

    Attributes:
        stem: Images (B, 3, H, W) → the first map, before its activation.
        stages: Each a map → the next map, before its activation.
        activations: One a map, the stem's first.
        channels: Channels that reach the pooling.
        grid: Side of the `grid` head's pooled map.
        neck: What stands between the last map and the pooling.
    """

    stem: nn.Module
    stages: Sequence[nn.Module]
    activations: Sequence[nn.Module]
    channels: int
    grid: int
    neck: nn.Module = field(default_factory=nn.Identity)


@dataclass(frozen=True)
class Trace:
    """The intermediate results of a network's forward pass.

    Attributes:
        stages: The maps f0 (stem), f1, …, fn, each (B, C, H, W), after their activation.
        last: (B, C, H, W), the map that the head averages: fn, through the neck where there is one.
        embedding: (B, D), the vector that the classifier reads.
        logits: (B, K).
        class_weights: (K, D), the classifier's matrix.
        preactivations: The maps of `stages` before their activation, if they were asked for.
        blocks: The output of every block of every stage after activation, in order, if they were asked for.
        class_tokens: A transformer's class token (B, D) beside each of `stages`; None where the network has none.
    """

    stages: list[Tensor]
    last: Tensor
    embedding: Tensor
    logits: Tensor
    class_weights: Tensor
    preactivations: list[Tensor] | None
    blocks: list[Tensor] | None
    class_tokens: list[Tensor] | None = None


@dataclass(frozen=True)
class Shapes:
    """The shapes (C, H, W) of a Trace's feature maps, and the length D of its embedding."""

    stages: list[Shape]
    blocks: list[Shape]
    last: Shape
    embedding: int


class Head(nn.Module):
    """The last feature map (B, C, H, W) → logits (B, K): neck, adaptive pooling to `grid` × `grid`, one linear layer.

    Pooling is adaptive, so every pixel of the map counts and any map size fits.
    """

    def __init__(self, neck: nn.Module, channels: int, grid: int, num_classes: int) -> None:
        super().__init__()
        self.neck = neck
        self.pool = nn.AdaptiveAvgPool2d(grid)
        self.classifier = nn.Linear(channels * grid**2, num_classes)

    def embed(self, maps: Tensor) -> Tensor:
        """Return the vector (B, C · grid²) that the classifier reads."""
        pooled: Tensor = self.pool(maps)
        return pooled.flatten(1)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the logits (B, K) of the last stage's feature map (B, C, H, W)."""
        logits: Tensor = self.classifier(self.embed(self.neck(maps)))
        return logits


class Network(nn.Module):
    """A classifier of RGB images with the structure stem → stages → head; what every other room holds.

    Args:
        num_classes: K, at least 2.

    Attributes:
        head: Its last layer is `head.classifier`, (B, D) → (B, K).
        arguments: What its architecture was built with, complete, where its name does not say all.
        own_input: What it does with an image first; None if it takes the images as all networks are given them.

    Raises:
        RecipeError: `num_classes` is below 2.
    """

    head: Head
    arguments: Mapping[str, Any] = MappingProxyType({})
    own_input: NetworkInput | None = None

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        if num_classes < 2:
            raise RecipeError(f"num_classes: a classifier needs at least 2 classes, got {num_classes}")

    @property
    def averages(self) -> bool:
        """Whether the classifier reads the plain mean of the map that a Trace calls `last`."""
        return self.head.pool.output_size == 1

    def put_projector(self, channels: int, reduction: int) -> None:
        """Put a projector to `channels` before the average, and a classifier that reads its output.

        So the classifier of another network can stand there; the projector is `reduction` times narrower inside.

        Raises:
            RecipeError: The head is not `gap`.
        """
        raise NotImplementedError

    def trace(self, images: Tensor, *, preactivations: bool = False, blocks: bool = False) -> Trace:
        """Return feature maps, embedding and logits of one forward pass; raises as `forward`.

        With `preactivations` the maps before their activation are kept too, with `blocks` the output of every
        block. Where an activation is the identity, `stages` and `preactivations` hold the same tensor.
        """
        raise NotImplementedError

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps [f0 (stem), f1, …, fn], each (B, C, H, W), after activation; raises as `forward`."""
        return self.trace(images).stages

    def passing(
        self, images: Tensor, stage: int | None
    ) -> tuple[list[Tensor], Callable[[list[Tensor]], Tensor], Tensor]:
        """Return what passes the end of a stage on its way to the logits, how that becomes a map, and the logits.

        Gradients of the logits with respect to what passes become a map in the same way.

        Args:
            images: As for `forward`.
            stage: 0 for the stem; None for what the head reads.

        Raises:
            RecipeError: There is no such stage.
        """
        trace = self.trace(images)
        require_stage(stage, len(trace.stages))
        return [trace.last if stage is None else trace.stages[stage]], lambda passed: passed[0], trace.logits

    def shapes(self, image_px: int) -> Shapes:
        """Return the shapes of what `trace` keeps for square images of `image_px`, without running the network.

        Raises:
            RecipeError: `image_px` is below 32.
        """
        empty = self.hollow()
        for module in empty.modules():
            if type(module) in _OF_NO_SHAPE:
                module.forward = nn.Identity().forward
        with torch.no_grad():
            trace = empty.trace(torch.empty(1, 3, image_px, image_px, device="meta"), blocks=True)
        assert trace.blocks is not None
        return Shapes(
            stages=[_shape(maps) for maps in trace.stages],
            blocks=[_shape(maps) for maps in trace.blocks],
            last=_shape(trace.last),
            embedding=trace.embedding.shape[1],
        )

    def parts(self) -> list[list[nn.Parameter]]:
        """Return the parameters of stem, stages and head, from the image on."""
        raise NotImplementedError

    def hollow(self) -> Self:
        """Return a copy in evaluation mode whose tensors have shapes but no content, so that nothing is computed."""
        return hollow(self)

    def _project(self, own: int, channels: int, reduction: int) -> None:
        """Replace the head by a projector from `own` channels, an average and a classifier."""
        self.head = Head(build_projector(own, channels, reduction), channels, 1, self.head.classifier.out_features)
        _draw_convolutions(self.head)


class StagedNetwork(Network):
    """A network of our own zoo, with `stem`, `stages` and `head`.

    The stem and the stages return pre-activations, and `activations[i]` turns the i-th of them into map i;
    so a map is available before and after its activation from the same pass.

    Args:
        backbone: The parts; their weights are drawn anew (He et al. 2015, fan-out).
        num_classes: K, at least 2.
        head: `gap`, the mean over the last map, or `grid`, the means over a coarse grid of it.

    Raises:
        RecipeError: `num_classes` is below 2, or `head` is not known.
    """

    def __init__(self, backbone: Backbone, num_classes: int, head: HeadKind = "gap") -> None:
        super().__init__(num_classes)
        if head not in _ZOO_HEADS:
            raise RecipeError(f"head {head!r}: unknown to this network; choose one of {', '.join(_ZOO_HEADS)}")
        self.stem = backbone.stem
        self.stages = nn.ModuleList(backbone.stages)
        self.activations = nn.ModuleList(backbone.activations)
        self.head = Head(backbone.neck, backbone.channels, 1 if head == "gap" else backbone.grid, num_classes)
        _draw_convolutions(self)

    def put_projector(self, channels: int, reduction: int) -> None:
        """Replace neck and classifier by a projector to `channels` and a classifier that reads its output."""
        if not self.averages:
            raise RecipeError("a projector needs a `gap` head; set head: gap")
        self._project(self.shapes(MIN_IMAGE_PX).stages[-1][0], channels, reduction)

    def parts(self) -> list[list[nn.Parameter]]:
        """Return the parameters of stem, stages and head, from the image on."""
        return [list(part.parameters()) for part in (self.stem, *self.stages, self.head)]

    def forward(self, images: Tensor) -> Tensor:
        """Classify images: float (B, 3, H, W), H and W at least 32 px → logits (B, K).

        Raises:
            RecipeError: The images are too small, or not a float batch of three channels.
        """
        last = images
        for last in self._maps(images):  # noqa: B007
            pass
        logits: Tensor = self.head(last)
        return logits

    def trace(self, images: Tensor, *, preactivations: bool = False, blocks: bool = False) -> Trace:
        """Run every part once and keep what it returns."""
        before: list[Tensor] | None = [] if preactivations else None
        within: list[Tensor] | None = [] if blocks else None
        stages = list(self._maps(images, before, within))
        last = self.head.neck(stages[-1])
        embedding = self.head.embed(last)
        classifier = self.head.classifier
        return Trace(stages, last, embedding, classifier(embedding), classifier.weight, before, within)

    def _maps(
        self, images: Tensor, before: list[Tensor] | None = None, within: list[Tensor] | None = None
    ) -> Iterator[Tensor]:
        """Yield each feature map after activation; append those before it to `before`, those of blocks to `within`."""
        check_images(images)
        maps = images
        for position, (part, activation) in enumerate(zip((self.stem, *self.stages), self.activations, strict=True)):
            if position and within is not None:
                blocks: list[Tensor] = []
                maps = part(maps, blocks)
                within += [activation(block) for block in blocks]
            else:
                maps = part(maps)
            if before is not None:
                before.append(maps)
            maps = activation(maps)
            yield maps


def hollow(module: Module) -> Module:
    """Return a copy in evaluation mode whose tensors have shapes but no content."""
    empty = {id(t): torch.empty_like(t, device="meta") for t in chain(module.parameters(), module.buffers())}
    return copy.deepcopy(module, empty).eval()


def _draw_convolutions(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def _shape(maps: Tensor) -> Shape:
    return maps.shape[1], maps.shape[2], maps.shape[3]


def require_stage(stage: int | None, count: int) -> None:
    """Reject the number of a stage that a network of `count` stages, the stem among them, does not have.

    Raises:
        RecipeError: There is no such stage.
    """
    if stage is not None and not 0 <= stage < count:
        raise RecipeError(f"`stage={stage}`: this network only has stages 0 (stem) to {count - 1}")


def check_images(images: Tensor) -> None:
    """Reject images that no network can read.

    Raises:
        RecipeError: They are too small, or not a float batch of three channels.
    """
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise RecipeError(
            f"images: a network needs float (batch, 3, height, width), got {images.dtype} {tuple(images.shape)}"
        )
    height_px, width_px = images.shape[2:]
    if height_px < MIN_IMAGE_PX or width_px < MIN_IMAGE_PX:
        raise RecipeError(
            f"images of {width_px} × {height_px} px: a network needs at least {MIN_IMAGE_PX} px on each side; "
            "use larger tiles"
        )
