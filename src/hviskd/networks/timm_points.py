"""Where in a network of timm its feature maps pass, found by one pass without content when it is built."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, isqrt
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from hviskd.errors import RecipeError
from hviskd.networks.base import hollow

_QUARTERS = (0.25, 0.5, 0.75, 1.0)  # of a transformer's blocks; there its stages end


@dataclass(frozen=True)
class Layout:
    """How a module's output becomes a map (B, C, h, w) and, where there is one, a class token (B, C).

    Attributes:
        prefix: Number of tokens before those of the patches: class token and registers.
        has_class: Whether the first of them is a class token.
        tokens: Whether outputs are tokens (B, N, C), of a square grid, rather than maps.
        channels_last: Whether maps are (B, h, w, C).
    """

    prefix: int = 0
    has_class: bool = False
    tokens: bool = False
    channels_last: bool = False

    def __call__(self, output: Any) -> tuple[Tensor, Tensor | None]:
        """Convert one output; several branches (CrossViT) are joined at the coarsest one's grid."""
        if isinstance(output, list | tuple):
            maps, tokens = zip(*(self(branch) for branch in output), strict=True)
            size = min((branch.shape[2:] for branch in maps), key=lambda shape: shape[0])
            joined = torch.cat([F.adaptive_avg_pool2d(branch, size) for branch in maps], 1)
            return joined, None if tokens[0] is None else torch.cat(tokens, 1)
        if self.tokens:
            patches = output[:, self.prefix :]
            side = isqrt(patches.shape[1])
            return patches.transpose(1, 2).unflatten(2, (side, side)), output[:, 0] if self.has_class else None
        return output.permute(0, 3, 1, 2) if self.channels_last else output, None


@dataclass(frozen=True)
class Points:
    """Where in a body something is kept, by the names of its modules.

    Attributes:
        ends: Of the stem and of every stage; "" is what enters the first stage.
        activations: The activation that made the output of each end, None where it is a sum or a norm.
        blocks: Of all stages.
        last_channels: Channels of the map that the pooling reads.
    """

    ends: tuple[str, ...]
    activations: tuple[str | None, ...]
    blocks: tuple[str, ...]
    last_channels: int

    def stage_of(self, parameter: str) -> int | None:
        """Return the place among `ends` of the stage that a parameter belongs to; None if it is in none."""
        for place, end in enumerate(self.ends):
            parent, _, number = end.rpartition(".")
            row = f"{parent}." if parent and number.isdigit() else None
            if row and parameter.startswith(row):  # a stage reaches from the end of the one before to its own
                own = parameter.removeprefix(row).split(".")[0]
                if own.isdigit() and int(own) <= int(number):
                    return place
            elif end and parameter.startswith(f"{end}."):
                return place
        return None


def find_points(body: Any, layout: Layout, image_px: int, who: str) -> tuple[Points, int]:
    """Find where to keep what, by one pass without content, and the width of the vector that is classified.

    Raises:
        RecipeError: The outputs at the ends of the stages are neither maps nor square grids of tokens.
    """
    activations = [name for name, module in body.named_modules() if _is_activation(module)]
    try:
        stages = list(dict.fromkeys(info["module"] for info in body.feature_info))
        ends, blocks = _ends(stages, layout), tuple(stages) if layout.tokens else _blocks(body, stages)
        empty = hollow(body)
        with torch.no_grad(), recording(empty, [*ends, *blocks, *activations], (), ends[1]) as (left, _):
            final = empty.forward_features(torch.empty(2, 3, image_px, image_px, device="meta"))
            pooled = final if layout.tokens else empty.forward_head(final, pre_logits=True)
        maps = [layout(left[end])[0] for end in ends]
        last = layout(final)[0]
        fitting = all(each.ndim == 4 and each.shape[2] == each.shape[3] for each in (*maps, last))
        fitting &= len({each.shape for each in maps}) == 1 if layout.tokens else pooled.ndim == 2
    except (RuntimeError, AttributeError, TypeError, KeyError, ValueError, IndexError, AssertionError) as error:
        raise RecipeError(f"network '{who}': cannot be used, its stages are not maps ({error})") from error
    if not fitting:
        raise RecipeError(f"network '{who}': cannot be used, its stages are not maps")
    made_by = [next((name for name in activations if left.get(name) is left[end]), None) for end in ends]
    usable = bool(blocks) and all(name in left and _is_map(left[name], layout) for name in blocks)
    points = Points(ends, tuple(made_by), blocks if usable else ends[1:], last.shape[1])
    return points, last.shape[1] if layout.tokens else pooled.shape[1]


def keep_inputs(body: nn.Module, points: Points) -> None:
    """Let no activation at an end overwrite its own input, which is to be kept."""
    for name in points.activations:
        if name is not None:
            body.get_submodule(name).inplace = False  # type: ignore[assignment]


def layout_of(body: nn.Module) -> Layout:
    """Return how the outputs of a body's modules lie."""
    if isinstance(getattr(body, "patch_embed", None), nn.ModuleList):  # CrossViT: a class token in every branch
        return Layout(prefix=1, has_class=True, tokens=True)
    return Layout(
        prefix=int(getattr(body, "num_prefix_tokens", 0)),
        has_class=getattr(body, "cls_token", None) is not None,
        tokens=hasattr(body, "num_prefix_tokens"),
        channels_last=getattr(body, "output_fmt", "NCHW") == "NHWC",
    )


@contextmanager
def recording(
    body: nn.Module, outputs: Iterable[str], inputs: Iterable[str], first_stage: str
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield two dictionaries, filled while the body runs: modules' outputs, and their first inputs, by name.

    The output "" is what enters the first stage.
    """
    left: dict[str, Any] = {}
    entered: dict[str, Any] = {}

    def keep_output(name: str) -> RemovableHandle:
        return body.get_submodule(name).register_forward_hook(lambda _, __, output: left.update({name: output}))

    def keep_input(name: str, target: dict[str, Any], key: str) -> RemovableHandle:
        return body.get_submodule(name).register_forward_pre_hook(lambda _, given: target.update({key: given[0]}))

    handles = [keep_output(name) for name in dict.fromkeys(outputs) if name]
    handles += [keep_input(name, entered, name) for name in dict.fromkeys(inputs)]
    handles.append(keep_input(first_stage, left, ""))
    try:
        yield left, entered
    finally:
        for handle in handles:
            handle.remove()


def _ends(stages: Sequence[str], layout: Layout) -> tuple[str, ...]:
    """Return the names at which stem and stages end; "" if the stem is no module of its own."""
    if layout.tokens:
        deep = len(stages)
        return ("", *dict.fromkeys(stages[ceil(share * deep) - 1] for share in _QUARTERS))
    return tuple(stages) if "." not in stages[0] else ("", *stages)


def _blocks(body: nn.Module, stages: Sequence[str]) -> tuple[str, ...]:
    """Return the names of all blocks, as far as modules can be taken for them, else of the stages."""
    names: list[str] = []
    after: dict[str, int] = {}
    for stage in stages:
        parent, _, place = stage.rpartition(".")
        if not place.isdigit():
            parts = [stage] if stage.rstrip("0123456789") in ("s", "layer") else []  # the others are stems
        else:  # a stage may be several parts, of which timm lists the last
            parts = [f"{parent}.{number}" for number in range(after.get(parent, 0), int(place) + 1)]
            after[parent] = int(place) + 1
        names += [name for part in parts for name in _within(body, part)]
    return tuple(names)


def _within(body: nn.Module, part: str) -> list[str]:
    module: Any = body.get_submodule(part)
    row, where = (module.blocks, f"{part}.blocks") if hasattr(module, "blocks") else (module, part)
    children = [name for name, _ in row.named_children()]
    numbered = all(name.lstrip("b").isdigit() for name in children)
    return [f"{where}.{name}" for name in children] if children and numbered else [part]


def _is_map(output: Any, layout: Layout) -> bool:
    try:
        return layout(output)[0].ndim == 4
    except (RuntimeError, AttributeError, TypeError, ValueError):
        return False


def _is_activation(module: nn.Module) -> bool:
    return type(module).__module__.startswith(("torch.nn.modules.activation", "timm.layers.activations"))
