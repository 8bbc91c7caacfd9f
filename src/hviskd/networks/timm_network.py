"""A network of timm in the structure that all networks have: stem → stages → head.

timm's modules run as they are. What a Trace keeps is recorded while they run, from the modules that timm itself lists
as the ends of stages; so an architecture needs no code here, only outputs that are maps or square grids of tokens.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hviskd.errors import RecipeError
from hviskd.networks.base import Head, Network, Trace, check_images, require_stage
from hviskd.networks.network_input import IMAGENET_DEVIATION, IMAGENET_MEAN, TIMM, HeadKind, NetworkInput
from hviskd.networks.timm_body import build_body
from hviskd.networks.timm_points import Points, find_points, keep_inputs, layout_of, recording

_LOOK_PX = 64  # at which an architecture that takes images of any size is looked at
_FOUND: dict[tuple[str, str, int], tuple[Points, int]] = {}  # of the architectures built in this process

Pooling = Literal["mean", "token", "own"]


class Prepare(nn.Module):
    """Turns the images that all networks are given into those that one network learned from, (B, 3, H, W) both."""

    factor: Tensor
    shift: Tensor

    def __init__(self, own: NetworkInput) -> None:
        super().__init__()
        self.own = own
        common, common_sd = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_DEVIATION)
        mean, deviation = torch.tensor(own.mean), torch.tensor(own.deviation)
        self.register_buffer("factor", (common_sd / deviation)[:, None, None], persistent=False)
        self.register_buffer("shift", ((common - mean) / deviation)[:, None, None], persistent=False)
        self.rescales = own.mean != IMAGENET_MEAN or own.deviation != IMAGENET_DEVIATION

    def forward(self, images: Tensor) -> Tensor:
        """Resize and rescale, each only where it changes something."""
        px = self.own.px
        if px is not None and images.shape[2:] != (px, px):
            corners = None if self.own.interpolation == "nearest" else False
            images = F.interpolate(images, size=(px, px), mode=self.own.interpolation, align_corners=corners)
        return torch.addcmul(self.shift, images, self.factor) if self.rescales else images


class TimmNetwork(Network):
    """A network of timm: everything but the classifier is `body`, and one linear layer in `head` classifies.

    Args:
        name: timm's name of the architecture.
        num_classes: K, at least 2.
        head: `gap`: a transformer's patch tokens are averaged after its last norm, the maps of other networks pooled
            as timm pools them. `token`: the class token.
        arguments: Of the architecture, complete, with the side of its images if that is fixed.
        own_input: What it does with an image first.

    Raises:
        RecipeError: timm is missing or cannot build it, it has no such head, or its stages are not maps.
    """

    def __init__(
        self, name: str, num_classes: int, head: HeadKind, arguments: Mapping[str, Any], own_input: NetworkInput
    ) -> None:
        super().__init__(num_classes)
        self.arguments, self.own_input = dict(arguments), own_input
        self.prepare = Prepare(own_input)
        self.body = build_body(name, arguments)
        _norm_before_pooling(self.body)
        self._layout = layout_of(self.body)
        self._points, width = self._find_points(name, own_input.px or _LOOK_PX)
        keep_inputs(self.body, self._points)
        heads = ("gap", "token") if self._layout.has_class else ("gap",)
        if head not in heads:
            raise RecipeError(f"head {head!r}: unknown to {TIMM}{name}; choose one of {', '.join(heads)}")
        self._pooling: Pooling = "own" if not self._layout.tokens else "mean" if head == "gap" else "token"
        self.head = Head(nn.Identity(), width, 1, num_classes)

    @property
    def averages(self) -> bool:
        """Whether the classifier reads the plain mean of the map that a Trace calls `last`."""
        if self._pooling != "own":
            return self._pooling == "mean"
        # Most networks pool and no more; what others do to the mean shows on any map.
        weight = self.head.classifier.weight
        maps = torch.rand(2, self._points.last_channels, 3, 3, generator=torch.Generator().manual_seed(0)).to(weight)
        with torch.no_grad():
            pooled = self._pool(maps.permute(0, 2, 3, 1) if self._layout.channels_last else maps)
        return pooled.shape == maps.shape[:2] and torch.allclose(pooled, maps.mean((2, 3)), rtol=1e-3)

    def _find_points(self, name: str, px: int) -> tuple[Points, int]:
        """Find the points of this architecture, once in a process: to look for them takes longer than to build it."""
        kind = (name, repr(sorted(self.arguments.items())), px)
        if kind not in _FOUND:
            _FOUND[kind] = find_points(self.body, self._layout, px, f"{TIMM}{name}")
        return _FOUND[kind]

    def put_projector(self, channels: int, reduction: int) -> None:
        """Replace pooling and classifier by a projector of the last normed map, an average and a classifier."""
        if self._pooling == "token":
            raise RecipeError("a projector needs a `gap` head; set head: gap")
        self._project(self._points.last_channels, channels, reduction)
        self._pooling = "mean"

    def parts(self) -> list[list[nn.Parameter]]:
        """Return the parameters of stem, stages and head, from the image on; norms after the stages are the head's."""
        groups: list[list[nn.Parameter]] = [[] for _ in range(len(self._points.ends) + 1)]
        before = True  # the first stage, in the order of registration
        for name, parameter in self.body.named_parameters():
            stage = self._points.stage_of(name)
            before &= stage is None or stage == 0
            groups[stage if stage is not None else 0 if before else -1].append(parameter)
        groups[-1] += self.head.parameters()
        return groups

    def forward(self, images: Tensor) -> Tensor:
        """Classify images: float (B, 3, H, W), H and W at least 32 px → logits (B, K).

        Raises:
            RecipeError: The images are too small, or not a float batch of three channels.
        """
        check_images(images)
        logits: Tensor = self.head.classifier(self._last_and_embedding(self._run(images))[1])
        return logits

    def trace(self, images: Tensor, *, preactivations: bool = False, blocks: bool = False) -> Trace:
        """Run the network once and keep what passes the ends of its stages; raises as `forward`.

        A transformer's blocks have no activation at their end, so its pre-activations are its maps. Nor have they a
        norm: what leaves them is a sum that grows from block to block, and tenfold in a fine-tuning. So each token of
        its maps is kept with mean 0 and variance 1 over its channels, which is what the next block reads of it.
        """
        check_images(images)
        points = self._points
        activations = [name for name in points.activations if name is not None] if preactivations else []
        wanted = [*points.ends, *(points.blocks if blocks else ())]
        with recording(self.body, wanted, activations, points.ends[1]) as (left, entered):
            final = self._run(images)
        maps, tokens = zip(*(self._compared(left[end]) for end in points.ends), strict=True)
        before = [
            stage if name is None else self._layout(entered[name])[0]
            for stage, name in zip(maps, points.activations, strict=True)
            if preactivations
        ]
        last, embedding = self._last_and_embedding(final)
        classifier = self.head.classifier
        return Trace(
            stages=list(maps),
            last=last,
            embedding=embedding,
            logits=classifier(embedding),
            class_weights=classifier.weight,
            preactivations=before if preactivations else None,
            blocks=[self._compared(left[block])[0] for block in points.blocks] if blocks else None,
            class_tokens=list(tokens) if self._layout.has_class else None,
        )

    def passing(
        self, images: Tensor, stage: int | None
    ) -> tuple[list[Tensor], Callable[[list[Tensor]], Tensor], Tensor]:
        """Return what passes the end of a stage on its way to the logits, how that becomes a map, and the logits.

        What a class token was made of passes the last block but one: behind it, no patch reaches the logits.
        """
        check_images(images)
        points = self._points
        require_stage(stage, len(points.ends))
        at_head = stage is None and self._pooling != "token"
        name = points.blocks[max(len(points.blocks) - 2, 0)] if stage is None else points.ends[stage]
        with recording(self.body, () if at_head else [name], (), points.ends[1]) as (left, _):
            final = self._run(images)
        logits: Tensor = self.head.classifier(self._last_and_embedding(final)[1])
        passed = final if at_head else left[name]
        branches = isinstance(passed, list | tuple)
        return (
            list(passed) if branches else [passed],
            lambda kept: self._layout(kept if branches else kept[0])[0],
            logits,
        )

    def _compared(self, output: Any) -> tuple[Tensor, Tensor | None]:
        """Return the map, and the class token if there is one, that a module's output is to other networks."""
        if not (self._layout.tokens or self._layout.channels_last):
            return self._layout(output)
        branches = output if isinstance(output, list | tuple) else [output]
        normed = [F.layer_norm(branch, branch.shape[-1:]) for branch in branches]
        return self._layout(normed if isinstance(output, list | tuple) else normed[0])

    def _run(self, images: Tensor) -> Any:
        """Return what timm's own head would read."""
        return self.body.forward_features(self.prepare(images))

    def _pool(self, final: Any) -> Tensor:
        pooled: Tensor = self.body.forward_head(final, pre_logits=True)
        return pooled

    def _last_and_embedding(self, final: Any) -> tuple[Tensor, Tensor]:
        maps, token = self._layout(final)
        last = self.head.neck(maps)
        if self._pooling == "own":
            return last, self._pool(final)
        return last, self.head.embed(last) if token is None or self._pooling == "mean" else token


def _norm_before_pooling(body: Any) -> None:
    """Let a transformer norm its tokens before they are pooled, where timm would norm their mean or attend to them."""
    norm, after = getattr(body, "norm", None), getattr(body, "fc_norm", None)
    if isinstance(norm, nn.Identity) and after is not None and not isinstance(after, nn.Identity):
        body.norm, body.fc_norm = after, norm
    if getattr(body, "attn_pool", None) is not None:
        body.attn_pool = None
