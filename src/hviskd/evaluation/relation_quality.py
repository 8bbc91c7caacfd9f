"""What relations between tiles say at each stage of a network: how much they vary, and whether they know the classes.

A method that hands on relations can teach only what they hold. Called by `hviskd relations`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from hviskd.arrays import Bools, Floats, Ints
from hviskd.checks import require_at_least
from hviskd.distillation import pooled_at
from hviskd.distillation.relations import RelationForm, region_relation, relation_between
from hviskd.errors import DataError
from hviskd.evaluation.tables import Table, markdown_table
from hviskd.models import AnyModels, InputStep, Model, load_models, pick_device
from hviskd.models.admission import require_fit
from hviskd.networks import Network, create_network
from hviskd.progress import Progress, progress_bar
from hviskd.tiles import TileSet

FORMS: tuple[RelationForm, ...] = get_args(RelationForm)
LEVELS = (2, 4)  # of the paper's three; a single region is related to nothing
MEASURES = {"spread": "spread", "auc": "AUC of “same class”", "distance": "distance of an untrained student"}


@dataclass(frozen=True, eq=False)
class RelationQuality:
    """Relations of one or several Models on the same batches of tiles.

    Attributes:
        table: One row per `model`, `stage` (0 is the stem; `embedding` the vector that the classifier reads) and
            `form` (a RelationForm between samples, or `regions 2 × 2` and `4 × 4` within a tile), with the means over
            batches of `spread`, `auc` (NaN for regions) and `distance` (NaN without a student).
        student: Name of the untrained student's network; None without one.
        notes: What was measured, on how many tiles.
    """

    table: pd.DataFrame
    student: str | None
    notes: tuple[str, ...]

    def summary_table(self) -> Table:
        """Return header and rows, as text."""
        measures = [name for name in MEASURES if self.student or name != "distance"]
        rows = []
        for row in self.table.to_dict("records"):
            values = ["–" if math.isnan(row[name]) else f"{row[name]:.3f}" for name in measures]
            rows.append([str(row["model"]), str(row["stage"]), str(row["form"]), *values])
        return ["model", "stage", "form", *(MEASURES[name] for name in measures)], rows

    def to_markdown(self) -> str:
        """Return the table and every note as Markdown."""
        return "\n\n".join([markdown_table(self.summary_table(), words=3), *self.notes]) + "\n"

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        return show.table(*self.summary_table()) + "".join(map(show.paragraph, self.notes))


def examine_relations(
    models: AnyModels,
    tileset: TileSet | Path | str,
    *,
    student: str | None = None,
    split: str = "val",
    batch_size: int = 64,
    batches: int = 16,
    seed: int = 0,
    progress: Progress | None = None,
) -> RelationQuality:
    """Measure, for each stage and form, what relations between a batch's tiles and between a tile's regions hold.

    Args:
        models: One or several Models, their folders, or finished Runs (their selected Models).
        tileset: The tiles.
        student: Name of a network; drawn at random and never trained, its relations are compared with each Model's.
        split: Split to draw batches from.
        batch_size: Number of tiles per batch, as in training.
        batches: Number of batches; fewer if the split has fewer tiles.
        seed: Of the batches and of the student's weights.
        progress: Called with done, total and what is being done; a bar by default.

    Raises:
        DataError: The split is empty, smaller than a batch of two tiles, or a number is out of range.
        ModelError: A Model does not fit the tiles.
        RecipeError: The student's network is unknown.
    """
    tileset, loaded = TileSet.open(tileset), load_models(models, last=False)
    require_at_least(2, batch_size=batch_size)
    require_at_least(1, batches=batches)
    for model in loaded:
        require_fit(model, tileset)
    names = [model.card.name for model in loaded]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{twice}: this name appears twice; give each model only once, with its own name")
    drawn = _draw(tileset, split, batch_size, batches, seed)
    rows = []
    with progress_bar("relate tiles", len(loaded) * len(drawn), progress) as advance:
        for model in loaded:
            untrained = None if student is None else _untrained(student, tileset, seed)
            measured = []
            for batch in drawn:
                measured.append(_measure(model, untrained, tileset, batch))
                advance(1, note=model.card.name)
            rows += _means(model.card.name, measured)
    count = sum(map(len, drawn))
    notes = [
        f"{count:,} tiles of the {split} split of {tileset.folder.name}, in {len(drawn)} batches of up to "
        f"{len(drawn[0])}; means over batches.",
        "Spread: how far a relation differs from its row means, relative to its size (0: it says the same of every "
        "pair). AUC: how well a pair's relation tells two tiles of one class from two of different classes (0.5: not "
        "at all).",
    ]
    if student is not None:
        notes.append(
            f"Distance: between the Model's relation and that of {student} with random weights, relative to the "
            "Model's; near 0, an untrained student has nothing to learn from it."
        )
    return RelationQuality(pd.DataFrame(rows), student, tuple(notes))


def spread(relation: Floats) -> float:
    """Return ‖M − row means‖ / ‖M‖ of a relation (…, n, n); 0 where every row is constant or all is 0."""
    whole = float(np.linalg.norm(relation))
    return float(np.linalg.norm(relation - relation.mean(axis=-1, keepdims=True))) / whole if whole else 0.0


def same_class_auc(relation: Floats, labels: Ints) -> float:
    """Return how often a pair of one class is related more closely than a pair of two, ties counted half.

    Args:
        relation: (B, B); the diagonal is left out.
        labels: (B,).

    Returns:
        The area under the ROC curve (Mann and Whitney 1947), NaN if all pairs are of one kind.
    """
    pairs = ~np.eye(len(labels), dtype=bool)
    together: Bools = (labels[:, None] == labels)[pairs]
    ones, zeros = int(together.sum()), int((~together).sum())
    if not ones or not zeros:
        return math.nan
    ranks = scipy.stats.rankdata(relation[pairs])
    return float((ranks[together].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def distance(relation: Floats, other: Floats) -> float:
    """Return ‖M − M'‖ / ‖M‖ of two relations of the same shape; NaN where M is 0."""
    whole = float(np.linalg.norm(relation))
    return float(np.linalg.norm(relation - other)) / whole if whole else math.nan


def _draw(tileset: TileSet, split: str, batch_size: int, batches: int, seed: int) -> list[Ints]:
    rows = np.random.default_rng(seed).permutation(tileset.require_split(split))
    if len(rows) < 2:
        raise DataError(f"{tileset.folder}: the {split} split has {len(rows)} tile; relations need at least two")
    size = min(batch_size, len(rows))
    return [rows[start : start + size] for start in range(0, len(rows) - size + 1, size)][:batches]


def _untrained(name: str, tileset: TileSet, seed: int) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return create_network(name, len(tileset.classes), tile_px=tileset.tile_px).eval()


def _measure(model: Model, student: Network | None, tileset: TileSet, rows: Ints) -> dict[tuple[str, str], list[float]]:
    """Return spread, AUC and distance of every stage and form on one batch."""
    device = pick_device("auto")
    step = InputStep(model.card.normalisation).to(device)
    with torch.inference_mode():
        images = step(torch.from_numpy(tileset.pixels[rows]).to(device))
        own = dict(_relations(model.network.to(device), images))
        theirs = {} if student is None else dict(_relations(student.to(device), images))
    labels = tileset.labels[rows]
    found = {}
    for (stage, form), relation in own.items():
        other = theirs.get((stage, form))
        found[stage, form] = [
            spread(relation),
            same_class_auc(relation, labels) if form in FORMS else math.nan,
            math.nan if other is None else distance(relation, other),
        ]
    return found


def _relations(network: Network, images: Tensor) -> Iterator[tuple[tuple[str, str], NDArray[np.float64]]]:
    """Yield ((stage, form), relation) of a batch, float64."""
    trace = network.trace(images)
    vectors = {str(stage): pooled_at(trace, stage) for stage in range(len(trace.stages))}
    for stage, features in (vectors | {"embedding": trace.embedding}).items():
        for form in FORMS:
            yield (stage, form), relation_between(features.double(), form).cpu().numpy()
    for number, maps in enumerate(trace.stages):
        relations, _ = region_relation(maps.double(), 0.0, levels=LEVELS)
        for level, relation in zip(LEVELS, relations, strict=True):
            yield (str(number), f"regions {level} × {level}"), relation.cpu().numpy()


def _means(name: str, measured: Sequence[dict[tuple[str, str], list[float]]]) -> list[dict[str, object]]:
    """Return one row per stage and form, all forms of a stage before the next; a batch without a value is left out."""
    rows: list[dict[str, object]] = []
    for stage, form in sorted(measured[0], key=lambda key: key[0]):  # stable: the forms keep their order
        columns = zip(*(batch[stage, form] for batch in measured), strict=True)
        known = [[value for value in column if not math.isnan(value)] for column in columns]
        means = [float(np.mean(values)) if values else math.nan for values in known]
        rows.append({"model": name, "stage": stage, "form": form, **dict(zip(MEASURES, means, strict=True))})
    return rows
