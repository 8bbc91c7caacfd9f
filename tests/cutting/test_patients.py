"""Patients by rule or table."""

from pathlib import Path

import pytest

from hviskd.cutting.patients import patients_of
from hviskd.errors import DataError


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("rule", "name", "patient"),
    [
        ("ivygap", "W10-1-1-B.2.02.jpg", "W10"),
        ("tcga", "TCGA-02-0001-01C-01-BS1.0cc8ca55.svs", "TCGA-02-0001"),
        (r"(\w+?)_", "P7_slide_2.svs", "P7"),
        (r".*/?case([0-9]+)", "case12b.svs", "12"),
    ],
)
def test_rules_give_the_patient(rule, name, patient):
    assert patients_of([Path("slides") / name], rule) == [patient]


def test_without_a_rule_nobody_is_known():
    assert patients_of([Path("a.svs"), Path("b.svs")], None) == [None, None]


def test_a_csv_names_slides_with_or_without_suffix(tmp_path):
    table = tmp_path / "patients.csv"
    table.write_text("\ufeffslide,patient,age\na.b,P1,50\nc.svs, P2 ,60\n")
    assert patients_of([Path("x/a.b.svs"), Path("c.svs")], str(table)) == ["P1", "P2"]
    with pytest.raises(DataError, match=r"1 of 2 slides \(d\.svs\)"):
        patients_of([Path("c.svs"), Path("d.svs")], str(table))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("slide|patient\na|b", "columns"),
        ("slide,patient\na,", "line 2"),
        ("slide,patient\na,1\na,2", "two different"),
    ],
)
def test_a_csv_that_does_not_tell_is_refused(tmp_path, content, word):
    table = tmp_path / "patients.csv"
    table.write_text(content)
    with pytest.raises(DataError, match=word):
        patients_of([Path("a.svs")], str(table))


@pytest.mark.parametrize("rule", ["([a-z", "W[0-9]+", "(a)(b)", "none.csv"])
def test_a_rule_that_is_none_is_refused(rule):
    with pytest.raises(DataError):
        patients_of([Path("W1.svs")], rule)
