"""AFD (Ji, Heo and Park, AAAI 2021): learned attention determines which student blocks imitate which teacher blocks."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from hviskd.distillation.maps import PUBLISHED_MAP_PIXELS
from hviskd.distillation.method import Batch, Method, Options, Setting, Trace
from hviskd.distillation.methods.at import attention_map, strength
from hviskd.distillation.precision import full_precision
from hviskd.distillation.vectors import pooled, unit
from hviskd.errors import RecipeError

Size = tuple[int, int]


class AFDOptions(Options):
    """Weight, blocks and the form of the loss.

    Attributes:
        weight: The authors'.
        teacher_blocks: Positions of the teacher's blocks that are imitated; None means all. The authors leave out every
            second of a resnet110.
        student_blocks: The same of the student's.
        width: Length of queries and keys.
        variant: `paper`: squared distances of unit vectors, divided by 256 so that the weight means on maps of any size
            what it means on maps of 16 × 16. `public`: the mean over pixels, which shrinks as their number grows.
    """

    weight: float = Field(default=200.0, ge=0, allow_inf_nan=False)
    teacher_blocks: tuple[int, ...] | None = Field(default=None, min_length=1)
    student_blocks: tuple[int, ...] | None = Field(default=None, min_length=1)
    width: int = Field(default=128, ge=1, le=4096)
    variant: Literal["paper", "public"] = "paper"


class AFD(Method):
    """Σ over pairs of blocks of attention · ‖A_t − A_s‖², mean over the batch; A is AT's attention map.

    For every tile and teacher block the attention is a softmax over the student's blocks, of learned queries and keys
    from the blocks' mean channels and of a learned matrix of positions.
    """

    name = "afd"
    Options = AFDOptions
    needs = frozenset({"teacher", "blocks"})
    reads_labels = False

    def __init__(self, options: AFDOptions, setting: Setting) -> None:
        super().__init__()
        assert setting.teacher is not None
        self.options = options
        self.theirs = _chosen(options.teacher_blocks, len(setting.teacher.blocks), "teacher")
        self.ours = _chosen(options.student_blocks, len(setting.student.blocks), "student")
        width = options.width
        self.queries = nn.ModuleList(_linear(setting.teacher.blocks[block][0], width) for block in self.theirs)
        self.keys = nn.ModuleList(_linear(setting.student.blocks[block][0], width) for block in self.ours)
        self.bilinear = _linear(width, width * len(self.theirs))
        self.teacher_positions = nn.Parameter(torch.empty(len(self.theirs), width))
        self.student_positions = nn.Parameter(torch.empty(len(self.ours), width))
        nn.init.xavier_normal_(self.teacher_positions)
        nn.init.xavier_normal_(self.student_positions)
        self.weights = {"afd": options.weight}

    @full_precision
    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return `afd`."""
        assert teacher is not None
        assert teacher.blocks is not None
        assert student.blocks is not None
        theirs = [teacher.blocks[block] for block in self.theirs]
        ours = [student.blocks[block] for block in self.ours]
        distances = block_distances(theirs, ours, mean=self.options.variant == "public")
        return {"afd": (self.attention(theirs, ours) * distances).sum(dim=(1, 2)).mean()}

    def attention(self, theirs: Sequence[Tensor], ours: Sequence[Tensor]) -> Tensor:
        """Return (B, T, S), each row of S a distribution, from the feature maps (B, C, H, W) of T and S blocks."""
        queries = torch.stack([query(pooled(maps)) for query, maps in zip(self.queries, theirs, strict=True)], dim=1)
        keys = torch.stack([key(pooled(maps)).relu() for key, maps in zip(self.keys, ours, strict=True)], dim=1)
        # Normalised over tiles and student blocks at once, as the authors do.
        mixed = self.bilinear(keys.flatten(0, 1)).unflatten(0, keys.shape[:2]).unflatten(2, (len(theirs), -1))
        affinity = torch.einsum("bstq,btq->bts", mixed, queries) + self.teacher_positions @ self.student_positions.T
        return (affinity / math.sqrt(queries.shape[2])).softmax(dim=2)


@full_precision
def block_distances(theirs: Sequence[Tensor], ours: Sequence[Tensor], *, mean: bool = False) -> Tensor:
    """Return ‖A_t − A_s‖² / 256 (B, T, S) of the attention maps of T and S blocks (B, C, H, W).

    The student's maps are brought to each of the teacher's sizes. With `mean` the squares are averaged over the pixels
    instead. Distances come from products, so that no tensor holds pairs of blocks and pixels at once.
    """
    strengths = [strength(maps) for maps in ours]
    columns: dict[int, Tensor] = {}
    for size, blocks in _by_size(theirs).items():
        teacher = torch.stack([attention_map(theirs[block]) for block in blocks], dim=1)
        resized = [F.adaptive_avg_pool2d(maps, size).flatten(1) for maps in strengths]
        student = unit(torch.stack(resized, dim=1))
        lengths = teacher.square().sum(dim=2)[:, :, None] + student.square().sum(dim=2)[:, None]
        squared = (lengths - 2 * teacher @ student.transpose(1, 2)).clamp(min=0)
        scale = math.prod(size) if mean else PUBLISHED_MAP_PIXELS
        columns |= dict(zip(blocks, (squared / scale).unbind(dim=1), strict=True))
    return torch.stack([columns[block] for block in range(len(theirs))], dim=1)


def _by_size(maps: Sequence[Tensor]) -> Mapping[Size, list[int]]:
    positions: dict[Size, list[int]] = {}
    for position, map_ in enumerate(maps):
        positions.setdefault((map_.shape[2], map_.shape[3]), []).append(position)
    return positions


def _linear(width_in: int, width_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width_in, width_out), nn.BatchNorm1d(width_out))


def _chosen(wanted: tuple[int, ...] | None, count: int, role: str) -> tuple[int, ...]:
    """Return the positions of the blocks that take part.

    Raises:
        RecipeError: There is no such block.
    """
    chosen = tuple(range(count)) if wanted is None else wanted
    missing = [block for block in chosen if not 0 <= block < count]
    if missing:
        raise RecipeError(f"methods.afd.{role}_blocks: the {role} has no block {missing[0]}, only 0 to {count - 1}")
    return chosen
