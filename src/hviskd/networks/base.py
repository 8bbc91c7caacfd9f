"""The one shape of every network, stem → stages → head; `zoo` builds it and all other rooms use it."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from hviskd.errors import RecipeError

HeadKind = Literal["gap", "grid"]
MIN_IMAGE_PX = 32  # below this the deepest stages would look at nothing but padding


@dataclass(frozen=True)
class Backbone:
    """What an architecture file builds: everything but the classifier.

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
    """What a network thought on its way from a batch to its answer.

    Attributes:
        stages: The maps f0 (stem), f1, …, fn, each (B, C, H, W), after their activation.
        embedding: (B, D), the vector that the classifier reads.
        logits: (B, K).
        preactivations: The same maps before their activation, if they were asked for.
    """

    stages: list[Tensor]
    embedding: Tensor
    logits: Tensor
    preactivations: list[Tensor] | None


class Head(nn.Module):
    """The last map (B, C, H, W) → logits (B, K): neck, adaptive pooling to `grid` × `grid`, one linear layer.

    Pooling is adaptive, so every pixel of the map counts and any map size fits.
    """

    def __init__(self, neck: nn.Module, channels: int, grid: int, num_classes: int) -> None:
        super().__init__()
        self.neck = neck
        self.pool = nn.AdaptiveAvgPool2d(grid)
        self.classifier = nn.Linear(channels * grid**2, num_classes)

    def embed(self, last: Tensor) -> Tensor:
        """Give the vector (B, C · grid²) that the classifier reads."""
        pooled: Tensor = self.pool(self.neck(last))
        return pooled.flatten(1)

    def forward(self, last: Tensor) -> Tensor:
        """Give the logits (B, K) of the last map (B, C, H, W)."""
        logits: Tensor = self.classifier(self.embed(last))
        return logits


class Network(nn.Module):
    """A classifier of RGB images made of `stem`, `stages` and `head`.

    The stem and the stages hand on pre-activations, and `activations[i]` turns the i-th of them into map i;
    so a map can be had on either side of its activation by one and the same path.

    Args:
        backbone: The parts; their weights are drawn anew (He et al. 2015, fan-out).
        num_classes: K, at least 2.
        head: `gap`, the mean over the last map, or `grid`, the means over a coarse grid of it.

    Raises:
        RecipeError: `num_classes` is below 2, or `head` is not known.
    """

    def __init__(self, backbone: Backbone, num_classes: int, head: HeadKind = "gap") -> None:
        super().__init__()
        if num_classes < 2:
            raise RecipeError(f"num_classes: a classifier needs at least 2 classes, got {num_classes}")
        if head not in get_args(HeadKind):
            raise RecipeError(f"head {head!r}: unknown; choose one of {', '.join(get_args(HeadKind))}")
        self.stem = backbone.stem
        self.stages = nn.ModuleList(backbone.stages)
        self.activations = nn.ModuleList(backbone.activations)
        self.head = Head(backbone.neck, backbone.channels, 1 if head == "gap" else backbone.grid, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

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

    def features(self, images: Tensor) -> list[Tensor]:
        """Give the maps [f0 (stem), f1, …, fn], each (B, C, H, W), after activation; raises as `forward`."""
        return list(self._maps(images))

    def trace(self, images: Tensor, *, preactivations: bool = False) -> Trace:
        """Give maps, embedding and logits of one pass; raises as `forward`.

        With `preactivations` the maps before their activation are kept too. Where the activation is the
        identity, both lists hold the same tensor.
        """
        before: list[Tensor] | None = [] if preactivations else None
        stages = list(self._maps(images, before))
        embedding = self.head.embed(stages[-1])
        return Trace(stages, embedding, self.head.classifier(embedding), before)

    def stage_shapes(self, image_px: int) -> list[tuple[int, int, int]]:
        """Give (C, H, W) of every map for square images of `image_px`; no weight or state is touched.

        Raises:
            RecipeError: `image_px` is below 32.
        """
        # A copy whose tensors have shapes but no content: no weight is copied and nothing is computed.
        hollow = {id(t): torch.empty_like(t, device="meta") for t in chain(self.parameters(), self.buffers())}
        twin = copy.deepcopy(self, hollow).eval()
        with torch.no_grad():
            maps = twin.features(torch.empty(1, 3, image_px, image_px, device="meta"))
        return [(f.shape[1], f.shape[2], f.shape[3]) for f in maps]

    def _maps(self, images: Tensor, before: list[Tensor] | None = None) -> Iterator[Tensor]:
        """Yield every map after its activation, and add it as it was before to `before`."""
        _check_images(images)
        maps = images
        for part, activation in zip((self.stem, *self.stages), self.activations, strict=True):
            maps = part(maps)
            if before is not None:
                before.append(maps)
            maps = activation(maps)
            yield maps


def _check_images(images: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise RecipeError(
            f"images: a network takes float (batch, 3, height, width), got {images.dtype} {tuple(images.shape)}"
        )
    height_px, width_px = images.shape[2:]
    if height_px < MIN_IMAGE_PX or width_px < MIN_IMAGE_PX:
        raise RecipeError(
            f"images of {width_px} × {height_px} px: a network needs at least {MIN_IMAGE_PX} px on either side; "
            "use larger tiles"
        )
