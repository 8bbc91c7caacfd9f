"""HVisKD (Sci. Rep. 2025, doi 10.1038/s41598-025-26004-1): the student learns the teacher's relations.

Between the samples of a batch and between the regions of a tile, at several stages. The relations and aware
features are in `relations`; this module pairs the stages, adapts widths and holds the two learned scales.
"""

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor, nn

from hviskd.distillation.features import token_at, vectors_and_regions_at
from hviskd.distillation.gather import gather_batch, joint_norm
from hviskd.distillation.grouping import cluster_groups, grouped_relation, top_groups
from hviskd.distillation.method import Batch, Method, Options, Reads, Setting, Trace, paired_shapes
from hviskd.distillation.precision import full_precision
from hviskd.distillation.relations import Normalisation, region_relation, sample_relation
from hviskd.errors import RecipeError

ScaleMode = Literal["shared", "student", "positive", "frozen"]

# A softplus cannot start at the paper's zero; a tenth is small and still has a gradient to move it.
_POSITIVE_START = 0.1


class HVisKDOptions(Options):
    """The paper's settings; what the authors' code actually ran is the preset `hviskd-authors`.

    Attributes:
        weight: λ, over all four terms.
        stages: Pairs (teacher stage, student stage); 0 is the stem.
        scale: How α and β are learned. `shared`: by teacher's and student's side alike (the paper). `student`:
            the teacher's side sees a detached copy, so that the loss cannot be lowered by shrinking the target.
            `positive`: shared, through a softplus. `frozen`: they stay 0.
        region_adapter: `conv`, a 1 × 1 convolution, or `linear`, one full matrix over all grid cells (16 C → 16 C
            at grid 4), as the authors' code has it.
        sample: What the sample level relates: `token`, the class token where a network has one, else the mean over the
            map; or `mean` in any case.
        regions: Of the region level. `grid`: squares of the pooled map, at several levels (the paper). `clusters`: its
            cells ("tokens"), grouped by k-means into `groups`. `scales`: the same into each of `scales`. `top`: the
            `groups` tokens most similar to the class token, or to the mean of a network without. The teacher's tokens
            settle the groups of both.
        grid: Side of the pooled map of the region level.
        levels: Sides of the region grids that are related.
        groups: Number of groups of `clusters`, or of tokens of `top`.
        scales: Numbers of groups of `scales`.
        normalisation: Of each row of a relation: `l2` (the paper) or `softmax`, as attention has it.
    """

    weight: float = Field(default=0.7, ge=0, allow_inf_nan=False)
    sample_relation: float = Field(default=0.1, ge=0, allow_inf_nan=False)
    sample_feature: float = Field(default=0.05, ge=0, allow_inf_nan=False)
    region_relation: float = Field(default=0.1, ge=0, allow_inf_nan=False)
    region_feature: float = Field(default=0.01, ge=0, allow_inf_nan=False)
    stages: tuple[tuple[int, int], ...] = Field(default=((1, 1), (2, 2), (3, 3)), min_length=1)
    scale: ScaleMode = "shared"
    region_adapter: Literal["conv", "linear"] = "conv"
    sample: Literal["token", "mean"] = "token"
    regions: Literal["grid", "clusters", "scales", "top"] = "grid"
    grid: int = Field(default=4, ge=1, le=32)
    groups: int = Field(default=4, ge=2, le=1024)
    scales: tuple[Annotated[int, Field(ge=2, le=1024)], ...] = Field(default=(2, 4, 8), min_length=1)
    levels: tuple[int, ...] = Field(default=(1, 2, 4), min_length=1)
    normalisation: Normalisation = "l2"

    @field_validator("levels")
    @classmethod
    def _levels_are_sides(cls, levels: tuple[int, ...]) -> tuple[int, ...]:
        if any(level < 1 for level in levels):
            raise ValueError("every level must be a grid side of at least 1")
        return levels


class HVisKD(Method):
    """Four losses, each an unscaled L2 norm over all entries, summed over the paired stages.

    sample_relation ‖M_t − M_s‖, sample_feature ‖S_t − W S_s‖, region_relation Σ_n ‖R_n,t − R_n,s‖,
    region_feature ‖A_t − W A_s‖. Under several processes the norms and the relations between samples are those
    of the joint batch. Since nothing is averaged, the losses grow with the batch: keep the batch size when
    comparing weights.
    """

    name = "hviskd"
    Options = HVisKDOptions
    needs = frozenset({"teacher"})
    reads_labels = False

    def __init__(self, options: HVisKDOptions, setting: Setting) -> None:
        super().__init__()
        self.options = options
        wanted = {"grid": 0, "scales": max(options.scales)}.get(options.regions, options.groups)
        if wanted > options.grid**2:
            raise RecipeError(
                f"methods.hviskd: regions {options.regions} wants {wanted} of the {options.grid**2} tokens of grid "
                f"{options.grid}; raise grid"
            )
        shapes = paired_shapes(setting, options.stages, self.name)
        widths = [(teacher[0], student[0]) for teacher, student in shapes]
        self.sample_adapters = nn.ModuleList(nn.Linear(ours, theirs, bias=False) for theirs, ours in widths)
        self.region_adapters = nn.ModuleList(
            _region_adapter(ours, theirs, options.region_adapter, options.grid) for theirs, ours in widths
        )
        self.sample_scale = _Scale(options.scale)
        self.region_scale = _Scale(options.scale)
        terms = ("sample_relation", "sample_feature", "region_relation", "region_feature")
        self.weights = {term: options.weight * getattr(options, term) for term in terms}

    @full_precision
    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return the four losses."""
        assert teacher is not None
        losses: dict[str, list[Tensor]] = {term: [] for term in self.weights}
        for position, (of_teacher, of_student) in enumerate(self.options.stages):
            vectors_t, cells_t = self._read(teacher, of_teacher)
            vectors_s, cells_s = self._read(student, of_student)
            relation, feature = self._sample_losses(vectors_t, vectors_s, self.sample_adapters[position])
            losses["sample_relation"].append(relation)
            losses["sample_feature"].append(feature)
            adapter = self.region_adapters[position]
            if self.options.regions == "grid":
                relation, feature = self._region_losses(cells_t, cells_s, adapter)
            else:
                groupings = self._groupings(teacher, of_teacher, cells_t)
                relation, feature = self._group_losses(cells_t, cells_s, groupings, adapter)
            losses["region_relation"].append(relation)
            losses["region_feature"].append(feature)
        return {term: torch.stack(parts).sum() for term, parts in losses.items()}

    def reads(self) -> Reads:
        """Return each stage's class token or mean, and its regions."""
        stages = frozenset(of_teacher for of_teacher, _ in self.options.stages)
        regions = frozenset((stage, self.options.grid) for stage in stages)
        by_token = self.options.sample == "token"
        return Reads(
            pooled=frozenset() if by_token else stages,
            regions=regions,
            tokens=stages if by_token or self.options.regions == "top" else frozenset(),
        )

    def _read(self, trace: Trace, stage: int) -> tuple[Tensor, Tensor]:
        """Return a stage's vectors (B, C) of the tiles, and its regions (B, C, grid, grid)."""
        options = self.options
        return vectors_and_regions_at(trace, stage, options.grid, token=options.sample == "token")

    def learned(self) -> dict[str, float]:
        """Return the current α and β."""
        return {"alpha": self.sample_scale().item(), "beta": self.region_scale().item()}

    def _sample_losses(self, teacher: Tensor, student: Tensor, adapter: nn.Module) -> tuple[Tensor, Tensor]:
        theirs, ours = (gather_batch(vectors) for vectors in (teacher, student))
        rows = self.options.normalisation
        relation_t, aware_t = sample_relation(theirs, self.sample_scale.for_teacher(), rows)
        relation_s, aware_s = sample_relation(ours, self.sample_scale(), rows)
        # Every process holds the joint batch here, so the local norm is already the joint one.
        return (
            torch.linalg.vector_norm(relation_t - relation_s),
            torch.linalg.vector_norm(aware_t - adapter(aware_s)),
        )

    def _region_losses(self, teacher: Tensor, student: Tensor, adapter: nn.Module) -> tuple[Tensor, Tensor]:
        how = (self.options.grid, self.options.levels, self.options.normalisation)
        relations_t, aware_t = region_relation(teacher, self.region_scale.for_teacher(), *how)
        relations_s, aware_s = region_relation(student, self.region_scale(), *how)
        pairs = zip(relations_t, relations_s, strict=True)
        relation = torch.stack([joint_norm(theirs - ours) for theirs, ours in pairs]).sum()
        return relation, joint_norm(aware_t - adapter(aware_s))

    def _groupings(self, teacher: Trace, stage: int, cells: Tensor) -> list[Tensor]:
        """Return how the teacher's tokens of a stage group those of both networks, each (B, m, n)."""
        options, tokens = self.options, cells.detach().flatten(2).transpose(1, 2)
        if options.regions == "top":
            return [top_groups(tokens, token_at(teacher, stage).detach(), options.groups)]
        return [cluster_groups(tokens, count) for count in self._counts()]

    def _counts(self) -> tuple[int, ...]:
        return self.options.scales if self.options.regions == "scales" else (self.options.groups,)

    def _group_losses(
        self, teacher: Tensor, student: Tensor, groupings: list[Tensor], adapter: nn.Module
    ) -> tuple[Tensor, Tensor]:
        related = []
        for maps, scale in ((teacher, self.region_scale.for_teacher()), (student, self.region_scale())):
            tokens = maps.flatten(2).transpose(1, 2)
            relations, aware = grouped_relation(tokens, groupings, scale, self.options.normalisation)
            related.append((relations, aware.transpose(1, 2).unflatten(2, maps.shape[2:])))
        (relations_t, aware_t), (relations_s, aware_s) = related
        pairs = zip(relations_t, relations_s, strict=True)
        relation = torch.stack([joint_norm(theirs - ours) for theirs, ours in pairs]).sum()
        return relation, joint_norm(aware_t - adapter(aware_s))


class _Scale(nn.Module):
    """α or β: one learned number for all stages, used for the student and passed to the teacher's side."""

    raw: Tensor

    def __init__(self, mode: ScaleMode) -> None:
        super().__init__()
        self.mode = mode
        if mode == "frozen":
            self.register_buffer("raw", torch.zeros(()))
        else:
            start = math.log(math.expm1(_POSITIVE_START)) if mode == "positive" else 0.0
            self.raw = nn.Parameter(torch.tensor(start))

    def forward(self) -> Tensor:
        return F.softplus(self.raw) if self.mode == "positive" else self.raw

    def for_teacher(self) -> Tensor:
        return self().detach() if self.mode == "student" else self()


class _LinearRegions(nn.Module):
    """One matrix over all grid cells, as in the authors' code: (B, C, g, g) → (B, C', g, g)."""

    def __init__(self, width_in: int, width_out: int, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.linear = nn.Linear(width_in * grid**2, width_out * grid**2, bias=False)

    def forward(self, aware: Tensor) -> Tensor:
        out: Tensor = self.linear(aware.flatten(1))
        return out.unflatten(1, (-1, self.grid, self.grid))


def _region_adapter(width_in: int, width_out: int, kind: Literal["conv", "linear"], grid: int) -> nn.Module:
    if kind == "linear":
        return _LinearRegions(width_in, width_out, grid)
    return nn.Conv2d(width_in, width_out, kernel_size=1, bias=False)
