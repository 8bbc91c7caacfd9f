"""The verdict on a comparison or an evaluation: two or three sentences made from its numbers.

They say what was gained on what, how sure that is, and what speaks against it. Whoever measures hands over `Findings`;
`judge` alone decides what may be claimed: a gain only if its interval is above zero and its corrected p below 0.05.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from hviskd.evaluation.intervals import FEW_CLUSTERS
from hviskd.version import DISCLAIMER

ALPHA = 0.05
Outcome = Literal["gained", "lost", "nothing", "untold", "measured"]


@dataclass(frozen=True)
class Claim:
    """The difference in top-1 between an arm (a model, a way of training) and a reference, as it was tested.

    Attributes:
        arm: The arm, as the reader knows it.
        reference: What it is compared with.
        reached: The arm's top-1, from 0 to 1.
        value: The difference, from -1 to 1.
        low, high: Its 95 % interval; NaN if there is none.
        p: The largest of its p-values, after Holm's correction for all arms; NaN if one of them could not be computed.
    """

    arm: str
    reference: str
    reached: float
    value: float
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan

    @property
    def gained(self) -> bool:
        """Whether the interval lies above zero and the corrected test agrees."""
        return self.low > 0 and self.p < ALPHA  # NaN is neither

    @property
    def lost(self) -> bool:
        """Whether the interval lies below zero and the corrected test agrees."""
        return self.high < 0 and self.p < ALPHA


@dataclass(frozen=True)
class Findings:
    """The numbers that a verdict is made from.

    Attributes:
        where: On what was measured, as `On 412 test tiles of 6 patients`.
        claims: The differences, those from the most important reference first.
        untestable: Why no test could show a gain over a reference, such as too few patients; empty if one could.
        measured: Sentences about a model that is compared with no other; used where there are no claims.
        costs: What the best arm paid for its gain, or what else the gain may come from.
        doubts: What speaks against any conclusion, the gravest first.
    """

    where: str
    claims: tuple[Claim, ...] = ()
    untestable: Mapping[str, str] = field(default_factory=dict)
    measured: tuple[str, ...] = ()
    costs: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What the numbers say, in two or three sentences.

    Attributes:
        outcome: Against the first reference: "gained", "lost", "nothing" (no difference that can be told from chance),
            "untold" (no test could have shown one); or "measured", if nothing was compared.
        sentences: What was gained on what, how sure that is, and what speaks against it.
        claims: The differences that this rests on.
    """

    outcome: Outcome
    sentences: tuple[str, ...]
    claims: tuple[Claim, ...] = ()

    def __str__(self) -> str:
        return " ".join((*self.sentences, DISCLAIMER))

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values; undefined values are null."""
        claims = [
            {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in one.items()}
            for one in map(asdict, self.claims)
        ]
        return {"outcome": self.outcome, "sentences": list(self.sentences), "claims": claims}


UNJUDGED = Verdict("measured", ())


def judge(findings: Findings) -> Verdict:
    """Make the verdict."""
    if not findings.claims:
        return Verdict("measured", (*findings.measured, *_doubted("measured", findings.doubts)))
    sentences: list[str] = []
    outcomes: list[Outcome] = []
    for reference in dict.fromkeys(claim.reference for claim in findings.claims):
        claims = [claim for claim in findings.claims if claim.reference == reference]
        untestable = findings.untestable.get(reference, "")
        sentences.append(f"{'There' if sentences else findings.where}, {_said(claims, untestable)}.")
        outcomes.append(_outcome(claims, untestable))
    outcome = outcomes[0]
    doubts = (*findings.costs, *findings.doubts) if outcome == "gained" else findings.doubts
    return Verdict(outcome, (*sentences, *_doubted(outcome, doubts)), findings.claims)


def best_of(claims: Iterable[Claim]) -> Claim:
    """Return the claim that a verdict speaks of first: the largest gain, or else the largest difference."""
    return max(claims, key=lambda claim: (claim.gained, claim.value))


def too_few(clusters: int, unit: str, tests: int) -> str:
    """Say whether there are too few patients (slides, tiles) for a corrected sign-flip test to show anything.

    Its least p is that of all signs alike, 2 in 2^clusters, times the number of tests.
    """
    if clusters > 1 and tests * 2.0 ** (1 - clusters) < ALPHA:
        return ""
    return f"{_counted(clusters, unit)} {'is' if clusters == 1 else 'are'} too few for any test to show it"


def sampling_doubts(clusters: int, unit: str) -> list[str]:
    """Say what speaks against results on so few patients, or on slides or tiles whose patients are unknown."""
    few = [f"only {_counted(clusters, unit)}"] if clusters < FEW_CLUSTERS else []
    return few + ([] if unit == "patient" else ["patients are unknown, so it looks surer than it is"])


def tested_on(tiles: int, split: str, clusters: int, unit: str) -> str:
    """Say on what was measured, as `On 412 test tiles of 6 patients`."""
    of = "" if unit == "tile" else f" of {_counted(clusters, unit)}"
    return f"On {tiles:,} {split} tile{'s' * (tiles != 1)}{of}"


def percent(share: float) -> str:
    """Return a share as `78.2 %`."""
    return f"{100 * share:.1f} %"


def lower(metric: str, change: float) -> list[str]:
    """Say that a metric fell, as `its macro-F1 is 0.021 lower`; nothing of a fall that three decimals do not show."""
    return [f"its {metric} is {-change:.3f} lower"] if round(change, 3) < 0 else []


def points(difference: float) -> str:
    """Return a difference of shares as `+3.1`, in percentage points."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def _outcome(claims: Sequence[Claim], untestable: str) -> Outcome:
    best = best_of(claims)
    if best.gained:
        return "gained"
    if untestable:
        return "untold"
    return "lost" if all(claim.lost for claim in claims) else "nothing"


def _said(claims: Sequence[Claim], untestable: str) -> str:
    """Say what was gained over one reference, and what was lost."""
    best, outcome = best_of(claims), _outcome(claims, untestable)
    reference, reached = best.reference, f"{percent(best.reached)} top-1, {points(best.value)} points{_evidence(best)}"
    which = best.arm if len(claims) == 1 else f"the best of {len(claims)}, {best.arm},"
    lost = sorted((claim for claim in claims if claim.lost), key=lambda claim: claim.value)
    if outcome == "gained":
        gained = [claim for claim in claims if claim.gained and claim is not best]
        also = f"; so did {len(gained)} more of {len(claims)}" if gained else ""
        return f"{best.arm} gained over {reference}: {reached}{also}{_losses(lost)}"
    if outcome == "untold":
        unknown = f"it cannot be told whether anything was gained over {reference}"
        return f"{unknown}: {which} reached {reached}, and {untestable}"
    if outcome == "lost":
        return f"nothing was gained over {reference}, and {which} lost: {reached}"
    return f"nothing was gained over {reference} that can be told from chance: {which} reached {reached}{_losses(lost)}"


def _evidence(claim: Claim) -> str:
    interval = "" if math.isnan(claim.low) else f"95 % interval {points(claim.low)} to {points(claim.high)}"
    p = "" if math.isnan(claim.p) else f"corrected p {'below 0.001' if claim.p < 0.001 else f'{claim.p:.3f}'}"
    told = ", ".join(each for each in (interval, p) if each)
    return f" ({told})" if told else ""


def _losses(lost: Sequence[Claim]) -> str:
    if not lost:
        return ""
    more = f", and {len(lost) - 1} more lost" if len(lost) > 1 else ""
    return f"; {lost[0].arm} lost {points(-lost[0].value).removeprefix('+')} points{_evidence(lost[0])}{more}"


def _doubted(outcome: Outcome, doubts: Sequence[str]) -> tuple[str, ...]:
    told = "Against it speaks" if outcome in ("gained", "lost") else "Keep in mind"  # where nothing was claimed
    return (f"{told}: {'; '.join(doubts)}.",) if doubts else ()


def _counted(count: int, unit: str) -> str:
    return f"{count:,} {unit}{'s' * (count != 1)}"
