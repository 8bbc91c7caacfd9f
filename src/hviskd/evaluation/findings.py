"""What an evaluation found, as numbers for its verdict: who gained over the first model, and what speaks against it."""

import math
from collections.abc import Sequence

import numpy as np

from hviskd.evaluation.result import Evaluation, ModelResult
from hviskd.evaluation.significance import clustered_p, holm
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
from hviskd.models.folder import is_last, name_of_last

_CLASS_LOSS = 0.05  # of recall; smaller losses of a class come and go with any training


def findings_of(evaluation: Evaluation) -> Findings:
    """Gather what a verdict on an evaluation rests on.

    The first model is the reference. Of a run, the selected epoch is compared; the last one is a check of it. A teacher
    of an evaluated model is no rival: that it is better than its students is no gain.
    """
    reference, *others = evaluation.models
    names = {model.name for model in evaluation.models}
    taught_by = {model.taught_by for model in evaluation.models}
    rivals = [model for model in others if not is_last(model.name, names) and model.weights not in (taught_by - {""})]
    where = tested_on(len(evaluation.labels), evaluation.split, evaluation.clusters, evaluation.unit)
    doubts = _doubts(evaluation, reference, compared=bool(rivals))
    if not rivals:
        return Findings(where, measured=_alone(evaluation, reference, where), doubts=doubts)
    claims = _claims(evaluation, reference, rivals)
    best = next(model for model in rivals if model.name == best_of(claims).arm)
    return Findings(
        where,
        claims,
        {reference.name: too_few(evaluation.clusters, evaluation.unit, len(rivals))},
        costs=_costs(evaluation, best, reference),
        doubts=doubts,
    )


def _claims(evaluation: Evaluation, reference: ModelResult, rivals: Sequence[ModelResult]) -> tuple[Claim, ...]:
    """Test each rival's top-1 against the reference's over patients (slides, tiles), corrected for their number."""
    of_reference = _right(evaluation, reference)
    clusters = _clusters(evaluation)
    tested = [clustered_p([_right(evaluation, rival) - of_reference], [clusters]) for rival in rivals]
    intervals = {each.model: each for each in evaluation.differences if each.metric == "top1"}
    claims = []
    for rival, p in zip(rivals, holm(tested), strict=True):
        own = intervals[rival.name]
        low, high = own.interval or (math.nan, math.nan)
        claims.append(Claim(rival.name, reference.name, rival.metrics.top1, own.value, low, high, p))
    return tuple(claims)


def _right(evaluation: Evaluation, model: ModelResult) -> np.ndarray:
    return (model.probabilities.argmax(axis=1) == evaluation.labels).astype(np.float64)


def _clusters(evaluation: Evaluation) -> np.ndarray:
    if evaluation.unit == "tile":
        return np.arange(len(evaluation.labels)).astype(np.str_)
    return evaluation.tiles[evaluation.unit].to_numpy(dtype=np.str_)


def _alone(evaluation: Evaluation, model: ModelResult, where: str) -> tuple[str, ...]:
    """Say how good one model is, against the most frequent class, and which class it recognises worst."""
    interval = model.intervals["top1"]
    ends = f" (95 % interval {percent(interval.low)} to {percent(interval.high)})" if interval else ""
    most, share = _most_frequent(evaluation)
    how = "better than"
    if interval is None:
        how = "with no interval to say whether that is better than"
    elif interval.high < share:
        how = "worse than"
    elif interval.low <= share:
        how = "not shown to be better than"
    first = f"{where}, {model.name} is right in {percent(model.metrics.top1)}{ends}: {how} always answering {most}, "
    return f"{first}the most frequent class ({percent(share)}).", _worst_class(evaluation, model)


def _worst_class(evaluation: Evaluation, model: ModelResult) -> str:
    worst = int(np.nanargmin(model.metrics.recall))  # NaN: no tiles of the class
    row = model.metrics.confusion[worst]
    missed = np.delete(row, worst)
    if not missed.any():
        return "It misses no tile of any class."
    found = f"{percent(row[worst] / row.sum())} of {row.sum():,.0f} tiles"
    taken = np.delete(np.array(evaluation.classes), worst)[int(missed.argmax())]
    return f"It recognises {evaluation.classes[worst]} worst: {found}, most of the others taken for {taken}."


def _most_frequent(evaluation: Evaluation) -> tuple[str, float]:
    held = np.bincount(evaluation.labels, minlength=len(evaluation.classes))
    return evaluation.classes[int(held.argmax())], float(held.max() / held.sum())


def _costs(evaluation: Evaluation, best: ModelResult, reference: ModelResult) -> tuple[str, ...]:
    """Say what is worse of the best model than of the reference, and where else its gain does not show."""
    said = []
    named = {model.name: model for model in evaluation.models}
    last = [named.get(name_of_last(model.name)) for model in (best, reference)]
    if last[0] and last[1] and (change := last[0].metrics.top1 - last[1].metrics.top1) <= 0:
        said.append(f"at the last epoch the difference is {points(change)} points")
    if best.val_top1 is not None and reference.val_top1 is not None and best.val_top1 <= reference.val_top1:
        said.append(
            f"on the validation tiles it was not better ({percent(best.val_top1)}, {reference.name} "
            f"{percent(reference.val_top1)})"
        )
    for each in evaluation.differences:
        if each.model != best.name:
            continue
        if each.metric in ("balanced_accuracy", "macro_f1", "macro_auroc"):
            said += lower(TITLES[each.metric], each.value)
        if each.metric == "ece" and each.interval is not None and each.interval.low > 0:
            said.append(f"its probabilities are further off (calibration error {each.value:+.3f})")
    losses = best.metrics.recall - reference.metrics.recall
    worst = int(np.nanargmin(losses))
    if losses[worst] <= -_CLASS_LOSS:
        recalls = f"{percent(reference.metrics.recall[worst])} to {percent(best.metrics.recall[worst])}"
        said.append(f"recall of {evaluation.classes[worst]} fell from {recalls}")
    return tuple(said)


def _doubts(evaluation: Evaluation, reference: ModelResult, *, compared: bool) -> tuple[str, ...]:
    """Say what speaks against any conclusion from an evaluation."""
    said = ["the splits or the models' training leak"] if evaluation.leaks else []
    if evaluation.split != "test":
        said.append(f"{evaluation.split} tiles took part in the training or in choosing its epoch")
    if compared:
        teachers = {model.taught_by for model in evaluation.models}
        names = {model.name for model in evaluation.models}
        for model in evaluation.models:
            if is_last(model.name, names):
                continue
            weak = model.metrics.top1 <= reference.metrics.top1
            if model.weights in teachers - {""} and not reference.taught_by and model is not reference and weak:
                said.append(
                    f"the teacher, {model.name}, is no better ({percent(model.metrics.top1)}) than {reference.name} "
                    f"({percent(reference.metrics.top1)})"
                )
        most, share = _most_frequent(evaluation)
        ends = [model.intervals["top1"] for model in evaluation.models]
        if all(interval is None or interval.low <= share for interval in ends):
            said.append(f"no model is shown to be better than always answering {most} ({percent(share)})")
    said += sampling_doubts(evaluation.clusters, evaluation.unit)
    if compared:
        said.append("one training each, so that another seed may tell otherwise")
    return tuple(said)
