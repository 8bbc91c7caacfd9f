"""The verdict on a comparison speaks of arms with a trained teacher, and of whatever does as well without one."""

import math

from hviskd.evaluation.significance import Gain
from hviskd.evaluation.verdict import judge
from hviskd.experiments.comparison import Row, Spread
from hviskd.experiments.findings import Basis, findings_of

BASIS = Basis(tiles=412, unit="patient", clusters=14)
STUDENT = (0.75, 0.74)  # top-1 of the selected and of the last epoch


def row(arm, top1, *, over_student=None, over_kd=None, last=None, teacher="trained", trainings=5, **more):
    """A row by hand; a gain is `(value, low, high, p over trainings, p over patients)`, both p corrected."""
    gains = {"student": over_student, "kd": over_kd}
    chosen = {metric: Spread(more.pop(metric, 0.7), 0.01) for metric in ("balanced_accuracy", "macro_auroc", "ece")}
    return Row(
        pair=more.pop("pair", "laptop"),
        arm=arm,
        trainings=trainings,
        diverged=more.pop("diverged", 0),
        missing=more.pop("missing", 0),
        chosen=chosen | {"top1": Spread(top1, 0.01)},
        last={"top1": Spread(last or top1, 0.01)},
        gains={name: Gain(*gain[:3], math.nan, math.nan) for name, gain in gains.items() if gain},
        corrected={name: gain[3:] for name, gain in gains.items() if gain},
        student_passes=more.pop("student_passes", 1.0),
        teacher=teacher,
        **more,
    )


TEACHER = row("teacher", 0.85, teacher="", trainings=1)
ALONE = row("student", *STUDENT[:1], last=STUDENT[1], teacher="")
KD = row("kd", 0.76, over_student=(0.01, -0.01, 0.03, 0.4, 0.5))
GAINED = row("crd", 0.79, over_student=(0.04, 0.02, 0.06, 0.01, 0.002), over_kd=(0.03, -0.001, 0.05, 0.2, 0.1))


def verdict_of(*rows, basis=BASIS, doubts=()):
    return judge(findings_of(rows, basis, doubts))


def test_a_gain_over_the_student_alone_and_none_over_kd():
    verdict = verdict_of(TEACHER, ALONE, KD, GAINED)
    assert verdict.outcome == "gained"
    assert verdict.sentences == (
        "On 412 test tiles of 14 patients, with 5 trainings per arm, crd gained over the student alone: 79.0 % top-1, "
        "+4.0 points (95 % interval +2.0 to +6.0, corrected p 0.010).",
        "There, nothing was gained over KD that can be told from chance: crd reached 79.0 % top-1, +3.0 points (95 % "
        "interval −0.1 to +5.0, corrected p 0.200).",
    )


def test_both_tests_must_agree():
    over_trainings_alone = row("crd", 0.79, over_student=(0.04, 0.02, 0.06, 0.01, 0.06))
    assert verdict_of(TEACHER, ALONE, over_trainings_alone).outcome == "nothing"
    untested = row("crd", 0.79, over_student=(0.04, 0.02, 0.06, 0.01, math.nan))
    assert verdict_of(TEACHER, ALONE, untested).outcome == "nothing"


def test_every_arm_that_lost_is_a_loss():
    verdict = verdict_of(TEACHER, ALONE, row("rkd", 0.7, over_student=(-0.05, -0.08, -0.02, 0.01, 0.01)))
    assert verdict.outcome == "lost"
    assert "nothing was gained over the student alone, and rkd lost: 70.0 % top-1, −5.0 points" in verdict.sentences[0]


def test_two_seeds_cannot_tell():
    gain = (0.04, 0.02, 0.06, math.nan, 0.01)
    verdict = verdict_of(TEACHER, ALONE, row("crd", 0.79, over_student=gain, trainings=2))
    assert verdict.outcome == "untold"
    assert "with 2 trainings per arm" in verdict.sentences[0]
    assert verdict.sentences[0].endswith("and fewer than 3 trainings per arm allow no test over trainings.")


def test_few_patients_for_so_many_arms_cannot_tell():
    others = [row(f"kd-{i}", 0.76, over_student=(0.01, -0.1, 0.1, 1, 1)) for i in range(9)]
    few = Basis(tiles=100, unit="patient", clusters=8)  # 2 / 2^8 × 10 arms
    assert verdict_of(TEACHER, ALONE, KD, *others, basis=few).outcome == "untold"
    assert verdict_of(TEACHER, ALONE, KD, basis=few).outcome == "nothing"
    both = row("crd", 0.79, over_student=(0.04, -0.02, 0.06, 0.1, 0.2), over_kd=(0.03, -0.001, 0.05, 0.2, 0.1))
    verdict = verdict_of(TEACHER, ALONE, KD, *others, both, basis=few)
    assert "it cannot be told whether anything was gained over the student alone" in verdict.sentences[0]
    assert "nothing was gained over KD that can be told from chance" in verdict.sentences[1]  # one arm, one test


def test_what_does_as_well_without_that_teacher_speaks_against_a_gain():
    gain = (0.05, 0.02, 0.06, 0.01, 0.002)
    twice = row("student-twice", 0.8, over_student=gain, teacher="")
    random = row("hviskd-random-teacher", 0.79, over_student=gain, teacher="random")
    worse = row("label-smoothing", 0.7, over_student=(-0.05, -0.08, 0.0, 1, 1), teacher="")
    verdict = verdict_of(TEACHER, ALONE, KD, twice, random, worse, GAINED)
    assert [claim.arm for claim in verdict.claims if claim.reference == "the student alone"] == ["kd", "crd"]
    assert verdict.sentences[-1] == (
        "Against it speaks: student-twice, which has no teacher, reached as much (80.0 %); hviskd-random-teacher, "
        "whose teacher has learned nothing, reached as much (79.0 %)."
    )


def test_what_a_gain_costs_is_told():
    gain = (0.04, 0.02, 0.06, 0.01, 0.002)
    paid = row("crd", 0.79, over_student=gain, last=0.72, balanced_accuracy=0.69, macro_auroc=0.6, student_passes=2.0)
    assert findings_of([TEACHER, ALONE, paid], BASIS).costs == (
        "at the last epoch the difference is −2.0 points",
        "its balanced accuracy is 0.010 lower",
        "its macro AUROC is 0.100 lower",
        "it took 2 × the student's forward passes",
    )


def test_doubts_name_teachers_losses_and_few_of_anything():
    weak = row("teacher", 0.7, teacher="", trainings=1)
    few = row("kd", 0.76, over_student=(0.01, -0.01, 0.03, 0.4, 0.5), trainings=3, missing=2, diverged=1)
    basis = Basis(tiles=412, unit="slide", clusters=9, folds=3)
    assert findings_of([weak, ALONE, few], basis, ["a teacher is no better than a guess"]).doubts == (
        "the teacher of laptop is no better (70.0 %) than the student alone (75.0 %)",
        "2 trainings are missing",
        "1 training is left out (diverged)",
        "only 9 slides",
        "patients are unknown, so it looks surer than it is",
        "only 3 trainings per arm",
        "folds share training patients, so p is too small",
        "a teacher is no better than a guess",
    )


def test_pairs_are_told_apart_where_there_are_several():
    other = row("kd", 0.9, pair="large", over_student=(0.01, -0.01, 0.03, 0.4, 0.5))
    assert "the best of 2, kd on laptop, reached" in verdict_of(ALONE, KD, other).sentences[0]


def test_where_nothing_has_finished_nothing_was_compared():
    verdict = verdict_of(TEACHER, row("student", math.nan, teacher="", trainings=0, missing=3))
    assert verdict.outcome == "measured"
    assert verdict.sentences == (
        "On 412 test tiles of 14 patients, nothing was compared: no arm with a teacher has finished beside the student "
        "alone.",
        "Keep in mind: 3 trainings are missing.",
    )
