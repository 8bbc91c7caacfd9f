"""The results of an experiment: one row per pair and arm, as numbers and as text."""

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from hviskd.evaluation.significance import Gain, Ranks
from hviskd.evaluation.tables import Table, markdown_table
from hviskd.evaluation.verdict import UNJUDGED, Verdict
from hviskd.experiments.design import KD, STUDENT

REFERENCES = (KD, STUDENT)
EXPLANATION = (
    "n: number of trainings (seeds × folds). parameters and multiply-adds (per tile): of the deployed "
    "network. passes: forward passes of the student in one training, relative to the student alone. time: "
    "of an epoch, relative to KD, under whatever load the computer had.",
    "p: over trainings / over patients (or slides or tiles), with Holm's correction. A gain with * has both "
    "below 0.05.",
)
_HEADER = (
    "pair",
    "arm",
    "n",
    "top-1 %, chosen",
    "95 %",
    "last",
    "balanced %",
    "AUROC",
    "gain over KD, points",
    "p",
    "gain over student, points",
    "p",
    "parameters",
    "multiply-adds",
    "passes",
    "time",
)
_MARK = 0.05


@dataclass(frozen=True)
class Spread:
    """A metric over trainings: mean, standard deviation (NaN for one training), 95 % interval (NaN if none)."""

    mean: float
    deviation: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Row:
    """One arm on one pair.

    Attributes:
        pair: Name of the pair's recipe.
        arm: Name of the training method; "teacher" for the teacher.
        trainings: Number of finished trainings.
        diverged: Number of trainings whose loss became NaN or infinite; excluded from the means.
        missing: Number of trainings that failed or are not yet done.
        chosen: Each metric at the epoch selected on the validation split.
        last: The same at the last epoch.
        gains: Gain in top-1 over each reference.
        corrected: p over trainings and over patients for each reference, after Holm's correction.
        parameters: Number of parameters of the deployed network.
        multiply_adds: Its multiply-adds per tile.
        student_passes: Forward passes of the student in one training, relative to the student alone.
        teacher_passes: The same of the teacher.
        seconds: Mean time of an epoch relative to KD's; NaN without KD.
        teacher: Which teacher the arm has: "trained", "random" (untrained), or "" for none.
    """

    pair: str
    arm: str
    trainings: int
    diverged: int
    missing: int
    chosen: dict[str, Spread]
    last: dict[str, Spread]
    gains: dict[str, Gain] = field(default_factory=dict)
    corrected: dict[str, tuple[float, float]] = field(default_factory=dict)
    parameters: int = 0
    multiply_adds: int = 0
    student_passes: float = math.nan
    teacher_passes: float = math.nan
    seconds: float = math.nan
    teacher: str = ""


@dataclass(frozen=True)
class Comparison:
    """All results.

    Attributes:
        rows: Teachers first, then every arm, pair by pair.
        ranks: Ranks of the arms over pairs, folds and seeds, by top-1 at the selected epoch; None if there are too few.
        notes: Cautions, one or two sentences each.
        verdict: What was gained, how sure that is, and what speaks against it, in two or three sentences.
    """

    rows: tuple[Row, ...]
    ranks: Ranks | None
    notes: tuple[str, ...]
    verdict: Verdict = UNJUDGED

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per pair and arm with every number, NaN if undefined."""
        return pd.DataFrame([_flat(row) for row in self.rows])

    def summary_table(self) -> Table:
        """Return header and rows as text; a gain whose two corrected p are both below 0.05 has a star."""
        return list(_HEADER), [_cells(row) for row in self.rows]

    @property
    def statements(self) -> tuple[str, ...]:
        """The notes, what the columns mean, and the ranks of the arms."""
        return (*self.notes, *EXPLANATION, *([_told(self.ranks)] if self.ranks is not None else []))

    def to_markdown(self) -> str:
        """Return the verdict, every statement and the table as Markdown."""
        lines = [
            "# Which training method helped the student",
            "",
            str(self.verdict),
            "",
            *(f"- {each}" for each in self.statements),
        ]
        return "\n".join([*lines, "", markdown_table(self.summary_table(), words=2)]) + "\n"

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        table = show.table(*self.summary_table())
        return show.paragraph(str(self.verdict)) + table + show.paragraph(" ".join(self.statements))


def _told(ranks: Ranks) -> str:
    p = "" if math.isnan(ranks.friedman_p) else f" Friedman's p {_p(ranks.friedman_p)}."
    order = np.argsort(ranks.means, kind="stable")
    best = ", ".join(f"{ranks.names[i]} {ranks.means[i]:.1f}" for i in order[:5])
    return (
        f"Mean ranks by top-1 over {ranks.blocks} blocks (pair, fold, seed), the best: {best}; ranks closer than "
        f"{ranks.critical_difference:.1f} do not differ significantly.{p}"
    )


def _cells(row: Row) -> list[str]:
    trainings = str(row.trainings)
    if row.diverged or row.missing:
        lost = [f"{row.diverged} diverged"] if row.diverged else []
        trainings += f" ({', '.join([*lost, *([f'{row.missing} missing'] if row.missing else [])])})"
    chosen = row.chosen
    interval = chosen["top1"]
    cells = [row.pair, row.arm, trainings, _percent(interval), _range(interval.low, interval.high)]
    cells += [_percent(row.last["top1"]), _percent(chosen["balanced_accuracy"]), _plain(chosen["macro_auroc"])]
    for reference in REFERENCES:
        cells += list(_gain(row.gains.get(reference), row.corrected.get(reference)))
    cells += [f"{row.parameters:,}" if row.parameters else "–"]
    cells += [f"{row.multiply_adds / 1e6:,.1f} M" if row.multiply_adds else "–"]
    return [*cells, _times(row.student_passes), _times(row.seconds)]


def _percent(spread: Spread) -> str:
    if math.isnan(spread.mean):
        return "–"
    return f"{100 * spread.mean:.1f}" + ("" if math.isnan(spread.deviation) else f" ± {100 * spread.deviation:.1f}")


def _plain(spread: Spread) -> str:
    if math.isnan(spread.mean):
        return "–"
    return f"{spread.mean:.3f}" + ("" if math.isnan(spread.deviation) else f" ± {spread.deviation:.3f}")


def _range(low: float, high: float) -> str:
    return "–" if math.isnan(low) else f"{100 * low:.1f} to {100 * high:.1f}"


def _gain(gain: Gain | None, corrected: tuple[float, float] | None) -> tuple[str, str]:
    if gain is None or corrected is None:
        return "", ""
    ends = "" if math.isnan(gain.low) else f" ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
    star = "*" if max(corrected) < _MARK else ""  # NaN is never below
    return f"{100 * gain.value:+.1f}{star}{ends}".replace("-", "−"), " / ".join(map(_p, corrected))


def _p(value: float) -> str:
    if math.isnan(value):
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _times(ratio: float) -> str:
    return "–" if math.isnan(ratio) else f"{ratio:.2g} ×"


def _flat(row: Row) -> dict[str, object]:
    plain = ("pair", "arm", "trainings", "diverged", "missing", "parameters", "multiply_adds")
    flat: dict[str, object] = {name: getattr(row, name) for name in plain}
    flat |= {f"{name}_ratio": getattr(row, name) for name in ("student_passes", "teacher_passes", "seconds")}
    for which in ("chosen", "last"):
        for metric, spread in getattr(row, which).items():
            flat |= {f"{which}_{metric}": spread.mean, f"{which}_{metric}_sd": spread.deviation}
    top1 = row.chosen["top1"]
    flat |= {"chosen_top1_low": top1.low, "chosen_top1_high": top1.high}
    for reference in REFERENCES:
        gain = row.gains.get(reference)
        corrected = row.corrected.get(reference, (math.nan, math.nan))
        start = f"gain_over_{reference}"
        flat |= {
            start: gain.value if gain else math.nan,
            f"{start}_low": gain.low if gain else math.nan,
            f"{start}_high": gain.high if gain else math.nan,
            f"{start}_p_trainings": gain.p_trainings if gain else math.nan,
            f"{start}_p_patients": gain.p_patients if gain else math.nan,
            f"{start}_p_trainings_holm": corrected[0],
            f"{start}_p_patients_holm": corrected[1],
        }
    return flat
