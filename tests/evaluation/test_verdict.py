"""A verdict claims what interval and test both show, says as plainly that nothing was gained, and names doubts."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hviskd.evaluation import Difference, Evaluation, Interval, ModelResult
from hviskd.evaluation.findings import findings_of
from hviskd.evaluation.metrics import measure
from hviskd.evaluation.verdict import Claim, Findings, judge, too_few

GAIN = Claim("hviskd", "alone", 0.782, 0.031, 0.004, 0.058, 0.03)
CHANCE = Claim("kd", "alone", 0.759, 0.008, -0.019, 0.036, 0.52)
LOSS = Claim("rkd", "alone", 0.71, -0.041, -0.07, -0.012, 0.004)
WHERE = "On 412 test tiles of 12 patients"


def said(*claims, **more):
    return judge(Findings(WHERE, claims, **more))


def test_a_gain_is_told_with_its_size_its_interval_and_its_p():
    verdict = said(GAIN, CHANCE, LOSS, doubts=("one training each",), costs=("its macro-F1 is 0.010 lower",))
    assert verdict.outcome == "gained"
    assert verdict.sentences == (
        "On 412 test tiles of 12 patients, hviskd gained over alone: 78.2 % top-1, +3.1 points (95 % interval +0.4 to "
        "+5.8, corrected p 0.030); rkd lost 4.1 points (95 % interval −7.0 to −1.2, corrected p 0.004).",
        "Against it speaks: its macro-F1 is 0.010 lower; one training each.",
    )
    assert str(verdict).endswith("Research software, not a medical device.")


@pytest.mark.parametrize(
    "claim",
    [
        CHANCE,
        Claim("kd", "alone", 0.8, 0.05, -0.001, 0.1, 0.01),  # the interval holds zero
        Claim("kd", "alone", 0.8, 0.05, 0.01, 0.1, 0.05),  # the corrected test says no
        Claim("kd", "alone", 0.8, 0.05, 0.01, 0.1),  # there was no test
        Claim("kd", "alone", 0.8, 0.05, p=0.001),  # there is no interval
    ],
)
def test_what_interval_or_test_does_not_show_is_nothing(claim):
    verdict = said(claim, costs=("costs",))
    assert verdict.outcome == "nothing"
    assert "nothing was gained over alone that can be told from chance: kd reached" in verdict.sentences[0]
    assert "costs" not in str(verdict)  # of a gain that there is not


def test_a_loss_is_no_gain_and_is_told():
    verdict = said(LOSS)
    assert verdict.outcome == "lost"
    assert "nothing was gained over alone, and rkd lost: 71.0 % top-1, −4.1 points" in verdict.sentences[0]
    assert said(LOSS, CHANCE).outcome == "nothing"
    assert "the best of 2, kd, reached" in said(LOSS, CHANCE).sentences[0]


def test_where_no_test_could_show_a_gain_none_is_denied():
    few = too_few(4, "patient", 1)
    assert few == "4 patients are too few for any test to show it"
    verdict = said(
        Claim("kd", "alone", 0.8, 0.05, 0.01, 0.1, 0.125), untestable={"alone": few}, doubts=("only 4 patients",)
    )
    assert verdict.outcome == "untold"
    unknown = "it cannot be told whether anything was gained over alone: kd reached 80.0 % top-1, +5.0 points (95 %"
    assert unknown in verdict.sentences[0]
    assert verdict.sentences[0].endswith(f"and {few}.")
    assert verdict.sentences[1] == "Keep in mind: only 4 patients."  # nothing was claimed that it could speak against


def test_a_test_over_one_reference_may_be_possible_where_one_over_another_is_not():
    over_kd = Claim("hviskd", "KD", 0.782, 0.023, -0.01, 0.04, 0.2)
    verdict = said(CHANCE, over_kd, untestable={"alone": "9 patients are too few for any test to show it", "KD": ""})
    assert verdict.outcome == "untold"
    assert verdict.sentences[1].startswith("There, nothing was gained over KD that can be told from chance")


def test_how_many_patients_a_test_needs_follows_from_its_least_p():
    assert too_few(5, "patient", 1)  # 2 / 2^5 = 0.0625
    assert not too_few(6, "patient", 1)
    assert too_few(6, "patient", 2)  # Holm doubles it
    assert not too_few(7, "patient", 2)
    assert too_few(1, "slide", 1) == "1 slide is too few for any test to show it"


def test_each_reference_has_a_sentence_and_the_first_decides():
    verdict = said(GAIN, CHANCE, Claim("hviskd", "KD", 0.782, 0.023, -0.01, 0.04, 0.2))
    assert verdict.outcome == "gained"
    assert verdict.sentences[1].startswith("There, nothing was gained over KD that can be told from chance: hviskd")


def test_a_small_p_and_several_gains_are_told():
    verdict = said(GAIN, Claim("crd", "alone", 0.8, 0.05, 0.02, 0.08, 0.0001))
    assert "crd gained over alone: 80.0 % top-1, +5.0 points" in verdict.sentences[0]
    assert "corrected p below 0.001); so did 1 more of 2." in verdict.sentences[0]


def test_it_is_plain_json():
    content = said(Claim("kd", "alone", 0.8, 0.05)).to_dict()
    assert content["outcome"] == "nothing"
    assert content["claims"] == [
        {"arm": "kd", "reference": "alone", "reached": 0.8, "value": 0.05, "low": None, "high": None, "p": None}
    ]


# Evaluations made by hand: two classes, of which "a" holds three tiles in four, and each of twelve patients 20 tiles.
CLASSES = ("a", "b")
PATIENTS, TILES = 12, 20
LABELS = np.tile(np.arange(TILES) % 4 == 3, PATIENTS).astype(np.int64)


def model(name, wrong, interval=(0.76, 0.9), **more):
    """A model that mistakes the first `wrong` tiles of each patient (a list) or of every patient (a number)."""
    each = [wrong] * PATIENTS if isinstance(wrong, int) else wrong
    misses = np.concatenate([np.arange(TILES) < count for count in each])
    taken = np.where(misses, 1 - LABELS, LABELS)
    probabilities = np.eye(2, dtype=np.float32)[taken] * 0.8 + 0.1
    metrics = measure(LABELS, probabilities)
    intervals = dict.fromkeys(metrics.overall()) | {"top1": interval and Interval(*interval)}
    more = {"weights": name, **more}
    return ModelResult(name, Path(name), f"{name} as it was measured", metrics, intervals, {}, probabilities, **more)


def evaluation(*models, top1=(), unit="patient", clusters=PATIENTS, split="test", leak="No patient …", others=()):
    """An evaluation of models, with the interval of each rival's difference in top-1."""
    differences = [
        Difference(one.name, models[0].name, "top1", one.metrics.top1 - models[0].metrics.top1, Interval(*ends))
        for one, ends in zip(models[1:], top1, strict=True)
    ]
    patients = np.repeat(np.arange(PATIENTS) % clusters, TILES).astype(str)
    tiles = pd.DataFrame({"row": range(len(LABELS)), "file": "f", "patient": patients, "slide": patients})
    facts = dict.fromkeys(("data_name", "data_fingerprint", "split_fingerprint"), "t")
    return Evaluation(
        tuple(models), (*differences, *others), CLASSES, split, tiles, LABELS, unit, clusters, 100, 0, leak, (), **facts
    )


def verdict_of(*models, **more):
    return judge(findings_of(evaluation(*models, **more)))


def test_a_model_that_gains_on_every_patient_gained():
    verdict = verdict_of(model("alone", 6), model("kd", 3), top1=[(0.1, 0.2)])
    assert verdict.outcome == "gained"
    assert "On 240 test tiles of 12 patients, kd gained over alone: 85.0 % top-1, +15.0 points" in verdict.sentences[0]
    assert verdict.claims[0].p == pytest.approx(2 / 2**12)
    assert verdict.sentences[1] == "Against it speaks: one training each, so that another seed may tell otherwise."


def test_p_is_corrected_for_the_number_of_rivals():
    one = [3] * 9 + [9] * 3
    alone = findings_of(evaluation(model("alone", 6), model("kd", one), top1=[(0.01, 0.1)]))
    both = findings_of(evaluation(model("alone", 6), model("kd", one), model("dkd", one), top1=[(0.01, 0.1)] * 2))
    assert both.claims[0].p == pytest.approx(2 * alone.claims[0].p)


def test_last_epochs_and_teachers_are_no_rivals():
    """Teachers are known by their weights, whichever variant of them was measured."""
    teacher = model("teacher", 1)
    kd = model("kd", 5, taught_by="teacher")
    findings = findings_of(
        evaluation(model("alone", 6), model("alone-last", 7), kd, model("kd-last", 7), teacher, top1=[(0.01, 0.1)] * 4)
    )
    assert [claim.arm for claim in findings.claims] == ["kd"]
    assert findings.costs == ("at the last epoch the difference is +0.0 points",)


def test_a_teacher_no_better_than_the_student_alone_is_told():
    kd = model("kd", 6, taught_by="teacher")
    models = (model("alone", 6), kd, model("teacher", 8))
    told = verdict_of(*models, top1=[(-0.1, 0.1), (-0.2, 0.0)]).sentences[-1]
    assert "the teacher, teacher, is no better (60.0 %) than alone (70.0 %)" in told
    last = model("teacher-last", 8, weights="teacher")
    both = verdict_of(*models, last, top1=[(-0.1, 0.1), (-0.2, 0.0), (-0.2, 0.0)]).sentences[-1]
    assert both.count("is no better") == 1
    assert "the teacher" not in str(verdict_of(model("alone", 6), kd, model("teacher", 1), top1=[(0, 0.1)] * 2))


def test_what_a_gain_costs_is_told():
    """More of class b is missed (every fourth tile), although fewer tiles are missed in all."""
    best, reference = model("kd", 4, val_top1=0.7), model("alone", 6, val_top1=0.8)
    turned = np.where(np.tile(np.arange(TILES) == 19, PATIENTS), 0, best.probabilities.argmax(axis=1))
    probabilities = np.eye(2, dtype=np.float32)[turned]
    worse = ModelResult(
        "kd", Path("kd"), "kd", measure(LABELS, probabilities), best.intervals, {}, probabilities, val_top1=0.7
    )
    others = (
        Difference("kd", "alone", "balanced_accuracy", -0.021, Interval(-0.1, 0.1)),
        Difference("kd", "alone", "ece", 0.05, Interval(0.01, 0.09)),
        Difference("kd", "alone", "macro_auroc", -0.0004, Interval(-0.1, 0.1)),
        Difference("other", "alone", "macro_f1", -0.5, None),
    )
    costs = findings_of(evaluation(reference, worse, top1=[(0.01, 0.1)], others=others)).costs
    assert costs == (
        "on the validation tiles it was not better (70.0 %, alone 80.0 %)",
        "its balanced accuracy is 0.021 lower",
        "its probabilities are further off (calibration error +0.050)",
        "recall of b fell from 80.0 % to 60.0 %",
    )


def test_few_patients_cannot_tell_and_unknown_ones_are_a_doubt():
    few = verdict_of(model("alone", 6), model("kd", 3), top1=[(0.1, 0.2)], clusters=4)
    assert few.outcome == "untold"
    assert "only 4 patients" in few.sentences[1]
    unknown = verdict_of(model("alone", 6), model("kd", 3), top1=[(0.1, 0.2)], unit="tile", clusters=len(LABELS))
    assert unknown.outcome == "gained"
    assert unknown.sentences[0].startswith("On 240 test tiles, kd gained")
    assert "patients are unknown, so it looks surer than it is" in unknown.sentences[1]


def test_leaks_and_other_splits_are_the_first_doubts():
    verdict = verdict_of(
        model("alone", 6), model("kd", 3), top1=[(0.1, 0.2)], split="val", leak="LEAK: 2 patients appear in both."
    )
    assert verdict.sentences[1].startswith(
        "Against it speaks: the splits or the models' training leak; val tiles took part in the training or in choosing"
    )


def test_models_no_better_than_one_answer_are_named():
    models = (model("alone", 6, (0.6, 0.8)), model("kd", 5, (0.7, 0.8)))
    told = verdict_of(*models, top1=[(-0.1, 0.1)])
    assert "no model is shown to be better than always answering a (75.0 %)" in told.sentences[-1]


@pytest.mark.parametrize(
    ("interval", "how"),
    [
        (
            (0.76, 0.9),
            "(95 % interval 76.0 % to 90.0 %): better than always answering a, the most frequent class (75.0 %).",
        ),
        ((0.7, 0.9), ": not shown to be better than always answering a"),
        ((0.5, 0.7), ": worse than always answering a"),
        (None, "85.0 %: with no interval to say whether that is better than always answering a"),
    ],
)
def test_one_model_is_measured_against_the_most_frequent_class(interval, how):
    verdict = verdict_of(model("alone", 3, interval))
    assert verdict.outcome == "measured"
    assert verdict.sentences[0].startswith("On 240 test tiles of 12 patients, alone is right in 85.0 %")
    assert how in verdict.sentences[0]
    assert len(verdict.sentences) == 2  # nothing speaks against it


def test_one_model_s_worst_class_is_named():
    row = verdict_of(model("alone", 8)).sentences[1]
    assert row == "It recognises a worst: 60.0 % of 180 tiles, most of the others taken for b."
    assert verdict_of(model("alone", 0)).sentences[1] == "It misses no tile of any class."


def test_nothing_undefined_is_claimed():
    assert not Claim("a", "b", 0.5, math.nan).gained
    assert not Claim("a", "b", 0.5, math.nan).lost
