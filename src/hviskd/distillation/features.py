"""What methods read of a network's feature maps, live or stored: means over a map, and means over its regions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from hviskd.distillation.method import Place, Trace
from hviskd.distillation.precision import full_precision
from hviskd.distillation.vectors import pooled

_NOT_STORED = "of a teacher's maps only means are stored; the method's `reads` does not say what it reads"


@dataclass  # not frozen, as Batch
class StoredTrace:
    """What was stored of a teacher's Trace; reading what was not is an error in a method's `reads`.

    Attributes:
        logits: (B, K).
        class_weights: (K, D), the classifier's matrix.
        vectors: (B, D) under "embedding".
        means: Maps' means over height and width (B, C), by place.
        cells: Maps averaged to side × side (B, C, side, side), by place and side.
        tokens: Class tokens (B, C), or means over maps of a network without, by stage.
    """

    logits: Tensor
    class_weights: Tensor
    vectors: Mapping[str, Tensor]
    means: Mapping[Place, Tensor]
    cells: Mapping[tuple[Place, int], Tensor]
    tokens: Mapping[int, Tensor] = field(default_factory=dict)

    @property
    def embedding(self) -> Tensor:
        """The vectors (B, D) that the classifier reads."""
        return self.vectors["embedding"]

    @property
    def stages(self) -> list[Tensor]:
        """Never stored, as all whole maps."""
        raise LookupError(_NOT_STORED)

    @property
    def last(self) -> Tensor:
        """Never stored."""
        raise LookupError(_NOT_STORED)

    @property
    def preactivations(self) -> list[Tensor] | None:
        """Never stored."""
        raise LookupError(_NOT_STORED)

    @property
    def blocks(self) -> list[Tensor] | None:
        """Never stored."""
        raise LookupError(_NOT_STORED)

    @property
    def class_tokens(self) -> list[Tensor] | None:
        """Never stored."""
        raise LookupError(_NOT_STORED)


def pooled_at(trace: Trace, place: Place) -> Tensor:
    """Return the mean (B, C) of a map over height and width, in at least float32."""
    return trace.means[place] if isinstance(trace, StoredTrace) else pooled(_map_at(trace, place))


def token_at(trace: Trace, stage: int) -> Tensor:
    """Return the class token (B, C) of a stage, or the mean over its map if the network has none; at least float32."""
    if isinstance(trace, StoredTrace):
        return trace.tokens[stage]
    tokens = trace.class_tokens
    if tokens is None:
        return pooled_at(trace, stage)
    return tokens[stage].to(torch.promote_types(tokens[stage].dtype, torch.float32))


def regions_at(trace: Trace, place: Place, side: int) -> Tensor:
    """Return a map averaged (adaptively) to (B, C, side, side), in at least float32."""
    return trace.cells[place, side] if isinstance(trace, StoredTrace) else _averaged(_map_at(trace, place), side)


def vectors_and_regions_at(trace: Trace, stage: int, side: int, *, token: bool) -> tuple[Tensor, Tensor]:
    """Return `token_at` or `pooled_at`, and `regions_at` of a stage; a map is read once where its regions are alike.

    There the mean over regions is the mean over the map, and of a large map the student's backward pass writes one
    gradient less.
    """
    regions = regions_at(trace, stage, side)
    if isinstance(trace, StoredTrace) or (token and trace.class_tokens is not None):
        return (token_at if token else pooled_at)(trace, stage), regions
    if any(length % side for length in trace.stages[stage].shape[-2:]):
        return pooled_at(trace, stage), regions
    return regions.mean(dim=(2, 3)), regions


def changed(
    trace: Trace, change: Callable[[Tensor], Tensor], *, weights: Callable[[Tensor], Tensor] | None = None
) -> Trace:
    """Return a Trace with every tensor changed, for example detached; the class weights by `weights`, if given."""
    class_weights = (weights or change)(trace.class_weights)
    if isinstance(trace, StoredTrace):
        return StoredTrace(
            change(trace.logits),
            class_weights,
            {name: change(vector) for name, vector in trace.vectors.items()},
            {place: change(mean) for place, mean in trace.means.items()},
            {place: change(regions) for place, regions in trace.cells.items()},
            {stage: change(tokens) for stage, tokens in trace.tokens.items()},
        )
    return _Changed(
        stages=[change(maps) for maps in trace.stages],
        last=change(trace.last),
        embedding=change(trace.embedding),
        logits=change(trace.logits),
        class_weights=class_weights,
        preactivations=None if trace.preactivations is None else [change(maps) for maps in trace.preactivations],
        blocks=None if trace.blocks is None else [change(maps) for maps in trace.blocks],
        class_tokens=None if trace.class_tokens is None else [change(tokens) for tokens in trace.class_tokens],
    )


def joint_trace(parts: Sequence[StoredTrace]) -> StoredTrace:
    """Return what was stored of several parts of a batch as one Trace, in their order."""
    first = parts[0]
    if len(parts) == 1:
        return first
    return StoredTrace(
        torch.cat([part.logits for part in parts]),
        first.class_weights,
        {name: torch.cat([part.vectors[name] for part in parts]) for name in first.vectors},
        {place: torch.cat([part.means[place] for part in parts]) for place in first.means},
        {place: torch.cat([part.cells[place] for part in parts]) for place in first.cells},
        {stage: torch.cat([part.tokens[stage] for part in parts]) for stage in first.tokens},
    )


@dataclass(frozen=True)
class _Changed:
    """A Trace whose tensors were changed."""

    stages: list[Tensor]
    last: Tensor
    embedding: Tensor
    logits: Tensor
    class_weights: Tensor
    preactivations: list[Tensor] | None
    blocks: list[Tensor] | None
    class_tokens: list[Tensor] | None


def _map_at(trace: Trace, place: Place) -> Tensor:
    return trace.last if place == "last" else trace.stages[place]


@full_precision
def _averaged(maps: Tensor, side: int) -> Tensor:
    return F.adaptive_avg_pool2d(maps, side)
