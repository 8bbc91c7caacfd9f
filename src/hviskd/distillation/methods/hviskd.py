"""HVisKD (Sci. Rep. 2025, doi 10.1038/s41598-025-26004-1): the student learns the teacher's relations.

Between the samples of a batch and between the regions of a tile, at several stages. The relations and aware
features are in `relations`; this module pairs the stages, adapts widths and holds the two learned scales.
"""

import math
from collections.abc import Callable
from typing import Annotated, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from hviskd.distillation.features import pooled_at, regions_at, token_at, vectors_and_regions_at
from hviskd.distillation.gather import Gathering, joint_norm
from hviskd.distillation.grouping import cluster_groups, grouped_relation, top_groups
from hviskd.distillation.method import Batch, Method, Options, Place, Reads, Setting, Shape, Trace, paired_shapes
from hviskd.distillation.precision import full_precision
from hviskd.distillation.relations import Normalisation, RelationForm, region_relation, sample_relation
from hviskd.errors import RecipeError

ScaleMode = Literal["shared", "student", "positive", "frozen"]

# A softplus cannot start at the paper's zero; a tenth is small and still has a gradient to move it.
_POSITIVE_START = 0.1


class HVisKDOptions(Options):
    """The paper's settings; what the authors' code actually ran is the preset `hviskd-authors`.

    Attributes:
        weight: λ, over all four terms.
        stages: Pairs (teacher stage, student stage); 0 is the stem. `last`, which the paper leaves out, is the map that
            the head averages; its vectors are those that the classifier reads.
        relation: Of the sample level. `gram`: rows(f fᵀ) (the paper). The others first standardise each channel over
            the batch: `centred`, what CKA compares; `cosine`; `softmax`, a distribution over the batch.
        temperature: Divides the cosines of `softmax`.
        feature_loss: `norm`, the L2 norm over all of a batch (the paper); or `mean_square`, the mean of the squares,
            which grows neither with the batch nor with the width.
        scale: How α and β are learned. `shared`: by teacher's and student's side alike (the paper). `student`:
            the teacher's side sees a detached copy, so that the loss cannot be lowered by shrinking the target.
            `positive`: shared, through a softplus. `frozen`: they stay 0.
        region_adapter: `conv`, a 1 × 1 convolution, or `linear`, one full matrix over all grid cells (16 C → 16 C
            at grid 4), as the authors' code has it.
        sample: What the sample level relates: `token`, the class token where a network has one, else the mean over the
            map; or `mean` in any case.
        regions: Of the region level. `grid`: squares of the pooled map, at several levels (the paper). `clusters`: its
            cells ("tokens"), grouped by k-means into `groups`. `scales`: the same into each of `scales`. `top`: the
            `groups` tokens most similar to the class token, or to the mean of `last` and of a network without. The
            teacher's tokens settle the groups of both.
        grid: Side of the pooled map of the region level.
        levels: Sides of the region grids that are related.
        groups: Number of groups of `clusters`, or of tokens of `top`.
        scales: Numbers of groups of `scales`.
        normalisation: Of each row of a Gram matrix: `l2` (the paper) or `softmax`, as attention has it.
    """

    weight: float = Field(default=0.7, ge=0, allow_inf_nan=False)
    sample_relation: float = Field(default=0.1, ge=0, allow_inf_nan=False)
    sample_feature: float = Field(default=0.05, ge=0, allow_inf_nan=False)
    region_relation: float = Field(default=0.1, ge=0, allow_inf_nan=False)
    region_feature: float = Field(default=0.01, ge=0, allow_inf_nan=False)
    stages: tuple[tuple[Place, Place], ...] = Field(default=((1, 1), (2, 2), (3, 3)), min_length=1)
    relation: RelationForm = "gram"
    temperature: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    feature_loss: Literal["norm", "mean_square"] = "norm"
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

    @model_validator(mode="after")
    def _relates_something(self) -> Self:
        if not self.between_samples and not self.between_regions:
            raise ValueError("at least one of the four terms needs a weight above 0")
        return self

    @property
    def between_samples(self) -> bool:
        """Whether a term between samples counts."""
        return self.sample_relation > 0 or self.sample_feature > 0

    @property
    def between_regions(self) -> bool:
        """Whether a term between regions counts."""
        return self.region_relation > 0 or self.region_feature > 0


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
        terms: list[str] = []
        if options.between_samples:
            terms += ["sample_relation", "sample_feature"]
            widths = [self._vector_widths(setting, *places) for places in zip(options.stages, shapes, strict=True)]
            self.sample_adapters = nn.ModuleList(nn.Linear(ours, theirs, bias=False) for theirs, ours in widths)
            self.sample_scale = _Scale(options.scale)
        if options.between_regions:
            terms += ["region_relation", "region_feature"]
            self.region_adapters = nn.ModuleList(
                _region_adapter(ours[0], theirs[0], options.region_adapter, options.grid) for theirs, ours in shapes
            )
            self.region_scale = _Scale(options.scale)
        self.weights = {term: options.weight * getattr(options, term) for term in terms}

    def _vector_widths(
        self, setting: Setting, places: tuple[Place, Place], shapes: tuple[Shape, Shape]
    ) -> tuple[int, int]:
        assert setting.teacher is not None
        both = zip((setting.teacher, setting.student), places, shapes, strict=True)
        theirs, ours = (
            network.embedding if place == "last" and self.options.sample == "token" else shape[0]
            for network, place, shape in both
        )
        return theirs, ours

    @full_precision
    def forward(self, batch: Batch, student: Trace, teacher: Trace | None) -> dict[str, Tensor]:
        """Return the two losses of each level that counts."""
        assert teacher is not None
        losses: dict[str, list[Tensor]] = {term: [] for term in self.weights}
        under_way: list[tuple[Gathering, Gathering]] = []
        for position, (of_teacher, of_student) in enumerate(self.options.stages):
            vectors_t, cells_t = self._read(teacher, of_teacher)
            vectors_s, cells_s = self._read(student, of_student)
            if vectors_t is not None and vectors_s is not None:
                under_way.append((Gathering(vectors_t), Gathering(vectors_s)))
            if cells_t is not None and cells_s is not None:
                adapter = self.region_adapters[position]
                if self.options.regions == "grid":
                    relation, feature = self._region_losses(cells_t, cells_s, adapter)
                else:
                    groupings = self._groupings(teacher, of_teacher, cells_t)
                    relation, feature = self._group_losses(cells_t, cells_s, groupings, adapter)
                losses["region_relation"].append(relation)
                losses["region_feature"].append(feature)
        for (theirs, ours), adapter in zip(under_way, self.sample_adapters if under_way else (), strict=True):
            relation, feature = self._sample_losses(theirs.joint(), ours.joint(), adapter)
            losses["sample_relation"].append(relation)
            losses["sample_feature"].append(feature)
        return {term: torch.stack(parts).sum() for term, parts in losses.items()}

    def reads(self) -> Reads:
        """Return each stage's class token or mean, and its regions, of the levels that count."""
        options = self.options
        places = frozenset(of_teacher for of_teacher, _ in options.stages)
        stages = frozenset(place for place in places if place != "last")
        by_token, samples = options.sample == "token", options.between_samples
        grouped_by_token = options.between_regions and options.regions == "top"
        return Reads(
            embedding=by_token and samples and "last" in places,
            pooled=places if samples and not by_token else frozenset(),
            regions=frozenset((place, options.grid) for place in places) if options.between_regions else frozenset(),
            tokens=stages if (by_token and samples) or grouped_by_token else frozenset(),
        )

    def _read(self, trace: Trace, place: Place) -> tuple[Tensor | None, Tensor | None]:
        """Return a place's vectors (B, C) of the tiles, and its regions (B, C, grid, grid); of each if it counts."""
        options, by_token = self.options, self.options.sample == "token"
        if options.between_samples and options.between_regions and place != "last":
            return vectors_and_regions_at(trace, place, options.grid, token=by_token)
        regions = regions_at(trace, place, options.grid) if options.between_regions else None
        if not options.between_samples:
            return None, regions
        if not by_token:
            return pooled_at(trace, place), regions
        return trace.embedding if place == "last" else token_at(trace, place), regions

    def learned(self) -> dict[str, float]:
        """Return the current α and β."""
        scales = {}
        if self.options.between_samples:
            scales["alpha"] = self.sample_scale().item()
        if self.options.between_regions:
            scales["beta"] = self.region_scale().item()
        return scales

    def _sample_losses(self, theirs: Tensor, ours: Tensor, adapter: nn.Module) -> tuple[Tensor, Tensor]:
        """Return the losses between the samples of the joint batch."""
        options = self.options
        how = (options.normalisation, options.relation, options.temperature)
        relation_t, aware_t = sample_relation(theirs, self.sample_scale.for_teacher(), *how)
        relation_s, aware_s = sample_relation(ours, self.sample_scale(), *how)
        # Every process holds the joint batch here, so the local norm or mean is already the joint one.
        norm = torch.linalg.vector_norm
        return norm(relation_t - relation_s), self._feature(aware_t - adapter(aware_s), norm)

    def _region_losses(self, teacher: Tensor, student: Tensor, adapter: nn.Module) -> tuple[Tensor, Tensor]:
        how = (self.options.grid, self.options.levels, self.options.normalisation)
        relations_t, aware_t = region_relation(teacher, self.region_scale.for_teacher(), *how)
        relations_s, aware_s = region_relation(student, self.region_scale(), *how)
        pairs = zip(relations_t, relations_s, strict=True)
        relation = torch.stack([joint_norm(theirs - ours) for theirs, ours in pairs]).sum()
        return relation, self._feature(aware_t - adapter(aware_s), joint_norm)

    def _feature(self, differing: Tensor, norm: Callable[[Tensor], Tensor]) -> Tensor:
        """Return a norm over the joint batch, or the mean of squares, whose mean over processes is the joint one."""
        return norm(differing) if self.options.feature_loss == "norm" else differing.square().mean()

    def _groupings(self, teacher: Trace, place: Place, cells: Tensor) -> list[Tensor]:
        """Return how the teacher's tokens of a place group those of both networks, each (B, m, n)."""
        options, tokens = self.options, cells.detach().flatten(2).transpose(1, 2)
        if options.regions == "top":
            query = tokens.mean(dim=1) if place == "last" else token_at(teacher, place).detach()
            return [top_groups(tokens, query, options.groups)]
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
        return relation, self._feature(aware_t - adapter(aware_s), joint_norm)


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
