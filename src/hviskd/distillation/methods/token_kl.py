"""Token KL, as LightlyTrain describes version 3 of its method: which tiles, and which tokens of a tile, are alike.

Distributions over similarities are compared, not features, so that student and teacher may be of any kind. Written from
the published description; no label is needed.
"""

import math

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from hviskd.distillation.features import pooled_at, regions_at
from hviskd.distillation.gather import gather_batch
from hviskd.distillation.method import Batch, Method, Options, Reads, Setting, Trace
from hviskd.distillation.precision import full_precision
from hviskd.distillation.relations import row_divergence
from hviskd.distillation.vectors import unit

_SHORTEST_QUEUE = 64
_DEVIATION = 0.02  # of the projections' first weights


class TokenKLOptions(Options):
    """Weights of both terms, temperatures, queue and grid; the defaults are the published ones.

    Attributes:
        embedding: Weight of the term between tiles.
        tokens: Weight of the term within tiles.
        temperature: Divides the cosines of both.
        queue: Longest queue of teacher embeddings. For few tiles it is shorter: the largest power of two that is at
            most half their number, and 64 at the least.
        grid: Largest side of the grid of tokens; a larger map of the teacher is averaged to it.
    """

    embedding: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    tokens: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    temperature: float = Field(default=0.07, gt=0, allow_inf_nan=False)
    queue: int = Field(default=8192, ge=_SHORTEST_QUEUE)
    grid: int = Field(default=16, ge=1, le=64)


class TokenKL(Method):
    """KL divergences between rows of softmax(cosines / temperature) of teacher and student, means over all rows.

    `embedding`: cosines of each tile's mean over the last map with a queue of teacher means, the batch's among them.
    `tokens`: cosines between the tokens of a tile's last map. Each has a linear projection from the student's width to
    the teacher's; the student's map is resized bilinearly to the teacher's grid after it. Projections and queue are
    discarded after training.
    """

    name = "token_kl"
    Options = TokenKLOptions
    needs = frozenset({"teacher"})
    reads_labels = False
    queue: Tensor
    seen: Tensor

    def __init__(self, options: TokenKLOptions, setting: Setting) -> None:
        super().__init__()
        assert setting.teacher is not None
        self.options = options
        theirs, ours = setting.teacher.last, setting.student.last
        self.side = min(options.grid, theirs[1])
        self.vectors, self.maps = (_projection(ours[0], theirs[0]) for _ in range(2))
        self.register_buffer("queue", torch.zeros(queue_length(len(setting.labels), options.queue), theirs[0]))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.weights = {term: options.weight * getattr(options, term) for term in ("embedding", "tokens")}

    def reads(self) -> Reads:
        """Return the mean of the last map, and its tokens."""
        return Reads(pooled=frozenset({"last"}), regions=frozenset({("last", self.side)}))

    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `embedding` and `tokens`, and put the teacher's embeddings into the queue."""
        assert teacher is not None
        means = pooled_at(teacher, "last").detach(), pooled_at(student, "last")
        return {
            "embedding": self._embedding_loss(*means, remember=not batch.again),
            "tokens": self._token_loss(regions_at(teacher, "last", self.side).detach(), student.last),
        }

    @full_precision
    def _embedding_loss(self, teacher: Tensor, student: Tensor, *, remember: bool) -> Tensor:
        theirs, ours = unit(teacher), unit(self.vectors(student))
        if remember:
            self._remember(gather_batch(theirs))
        empty = torch.arange(len(self.queue), device=ours.device) >= self.seen
        scores = [rows @ self.queue.T / self.options.temperature for rows in (theirs, ours)]
        return row_divergence(*(row.masked_fill(empty, -math.inf) for row in scores))

    @full_precision
    def _token_loss(self, teacher: Tensor, student: Tensor) -> Tensor:
        projected = self.maps(student.movedim(1, -1)).movedim(-1, 1)
        resized = F.interpolate(projected, size=teacher.shape[2:], mode="bilinear", align_corners=False)
        return row_divergence(*(token_similarity(maps) / self.options.temperature for maps in (teacher, resized)))

    @torch.no_grad()
    def _remember(self, embeddings: Tensor) -> None:
        """Write embeddings (B, D) over the oldest of the queue; of more than it holds, the last."""
        kept = embeddings[-len(self.queue) :]
        places = (self.seen + torch.arange(len(kept), device=kept.device)) % len(self.queue)
        self.queue[places] = kept.to(self.queue.dtype)
        self.seen += len(kept)


def queue_length(tiles: int, longest: int) -> int:
    """Return the largest power of two that is at most half of `tiles`, but from 64 to `longest`."""
    return min(longest, max(_SHORTEST_QUEUE, 1 << max(0, (tiles // 2).bit_length() - 1)))


def token_similarity(maps: Tensor) -> Tensor:
    """Return the cosines (B, n, n) between the n = H · W tokens of each of the maps (B, C, H, W)."""
    tokens = unit(maps.flatten(2).transpose(1, 2))
    return tokens @ tokens.transpose(1, 2)


def _projection(width_in: int, width_out: int) -> nn.Linear:
    projection = nn.Linear(width_in, width_out)
    nn.init.trunc_normal_(projection.weight, std=_DEVIATION)
    nn.init.zeros_(projection.bias)
    return projection
