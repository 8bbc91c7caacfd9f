"""What a comparison found, as numbers for its verdict: which arm gained over the baselines, and what contradicts it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hviskd.evaluation.significance import LEAST_PAIRS
from hviskd.evaluation.tables import TITLES
from hviskd.evaluation.verdict import (
    Claim,
    Findings,
    best_of,
    lower,
    percent,
    points,
    sampling_doubts,
    tested_on,
    too_few,
)
from hviskd.experiments.comparison import Row
from hviskd.experiments.design import KD, STUDENT

_SPOKEN = {STUDENT: "the student alone", KD: "KD"}
_FEW_TRAININGS = 5


@dataclass(frozen=True)
class Basis:
    """What the arms were tested on.

    Attributes:
        tiles: Number of test tiles, over all folds.
        unit: The resampled unit: "patient", "slide" or "tile".
        clusters: Number of these units.
        folds: Number of folds; 1 without cross-validation.
    """

    tiles: int
    unit: str
    clusters: int
    folds: int = 1


def findings_of(rows: Sequence[Row], basis: Basis, doubts: Sequence[str] = ()) -> Findings:
    """Gather what a verdict on a comparison rests on.

    Over the student alone, only arms with a trained teacher are rivals: what else gains is no gain of distilling, and
    speaks against one. Over KD they are the same arms.

    Args:
        rows: One per pair and arm, teachers too, with corrected p.
        basis: What they were tested on.
        doubts: Further sentences that speak against any conclusion, without a full stop.
    """
    several = len({row.pair for row in rows}) > 1
    taught = [row for row in rows if row.teacher == "trained"]
    claims = {_claim(row, reference, several): row for reference in _SPOKEN for row in taught if reference in row.gains}
    counts = sorted({row.trainings for row in claims.values()})
    each = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else str(*counts)
    where = tested_on(basis.tiles, "test", basis.clusters, basis.unit)
    where += f", with {each} training{'s' * (counts != [1])} per arm" if counts else ""
    if not claims:
        said = f"{where}, nothing was compared: no arm with a teacher has finished beside {_SPOKEN[STUDENT]}."
        return Findings(where, measured=(said,), doubts=(*_unfinished(rows), *doubts))
    first = [claim for claim in claims if claim.reference == next(iter(claims)).reference]
    return Findings(
        where,
        tuple(claims),
        {spoken: _untestable(name, rows, basis) for name, spoken in _SPOKEN.items()},
        costs=_costs(claims[best_of(first)], rows),
        doubts=(*_doubts(rows, basis, counts), *doubts),
    )


def _claim(row: Row, reference: str, several: bool) -> Claim:
    gain = row.gains[reference]
    name = f"{row.arm} on {row.pair}" if several else row.arm
    p = max(row.corrected.get(reference, (math.nan, math.nan)), key=lambda one: (math.isnan(one), one))
    return Claim(name, _SPOKEN[reference], row.chosen["top1"].mean, gain.value, gain.low, gain.high, p)


def _untestable(reference: str, rows: Sequence[Row], basis: Basis) -> str:
    tested = [row for row in rows if reference in row.gains]  # p is corrected for all, also those without a teacher
    if max((row.trainings for row in tested if row.teacher == "trained"), default=0) < LEAST_PAIRS:
        return f"fewer than {LEAST_PAIRS} trainings per arm allow no test over trainings"
    return too_few(basis.clusters, basis.unit, len(tested))


def _costs(best: Row, rows: Sequence[Row]) -> tuple[str, ...]:
    """Say what is worse of the best arm than of the student alone, and which arm without its teacher does as well."""
    own = {row.arm: row for row in rows if row.pair == best.pair}
    said = []
    for row in own.values():
        if row.teacher == "trained" or row.arm in (STUDENT, "teacher") or not row.trainings:
            continue
        if row.chosen["top1"].mean >= best.chosen["top1"].mean:
            why = "which has no teacher" if row.teacher == "" else "whose teacher has learned nothing"
            said.append(f"{row.arm}, {why}, reached as much ({percent(row.chosen['top1'].mean)})")
    if (alone := own.get(STUDENT)) is not None:
        if (change := best.last["top1"].mean - alone.last["top1"].mean) <= 0:
            said.append(f"at the last epoch the difference is {points(change)} points")
        for metric in ("balanced_accuracy", "macro_auroc"):
            said += lower(TITLES[metric], best.chosen[metric].mean - alone.chosen[metric].mean)
    if best.student_passes > 1.005:
        said.append(f"it took {best.student_passes:.2g} × the student's forward passes")
    return tuple(said)


def _doubts(rows: Sequence[Row], basis: Basis, counts: Sequence[int]) -> list[str]:
    said = []
    for teacher in (row for row in rows if row.arm == "teacher"):
        alone = next((row for row in rows if row.pair == teacher.pair and row.arm == STUDENT), None)
        if alone is not None and teacher.chosen["top1"].mean <= alone.chosen["top1"].mean:  # NaN is neither
            said.append(
                f"the teacher of {teacher.pair} is no better ({percent(teacher.chosen['top1'].mean)}) than the student "
                f"alone ({percent(alone.chosen['top1'].mean)})"
            )
    said += _unfinished(rows)
    said += sampling_doubts(basis.clusters, basis.unit)
    if LEAST_PAIRS <= counts[0] < _FEW_TRAININGS:
        said.append(f"only {counts[0]} trainings per arm")
    if basis.folds > 1:
        said.append("folds share training patients, so p is too small")
    return said


def _unfinished(rows: Sequence[Row]) -> list[str]:
    lost = {"missing": sum(row.missing for row in rows), "left out (diverged)": sum(row.diverged for row in rows)}
    return [f"{count} training{'s are' if count > 1 else ' is'} {how}" for how, count in lost.items() if count]
