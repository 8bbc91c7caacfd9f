"""Splits keep patients and slides whole, come near the wanted shares, and replace each other in one step."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hviskd.errors import DataError
from hviskd.tiles import TileSet, check_leak, draw_contact_sheet, split_tiles, summary_table
from tests.tiles.samples import make_tileset, noise


def rows_of(patients, per_patient, **more):
    return [
        {"class_name": "AB"[tile % 2], "patient": f"P{number:02}", **more}
        for number in range(patients)
        for tile in range(per_patient)
    ]


def shares(tileset):
    counts = tileset.table["split"].value_counts()
    return {str(name): int(count) for name, count in counts.items()}


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_group_is_ever_torn_apart(tmp_path_factory, data):
    groups = data.draw(st.lists(st.integers(0, 12), min_size=1, max_size=60))
    labels = data.draw(st.lists(st.sampled_from("AB"), min_size=len(groups), max_size=len(groups)))
    by = data.draw(st.sampled_from(["patient", "slide"]))
    val, test = data.draw(st.sampled_from([(0.15, 0.15), (0.3, 0.0), (0.05, 0.6), (0.0, 0.0)]))
    rows = [{"class_name": name, by: f"g{group}"} for group, name in zip(groups, labels, strict=True)]
    tileset = make_tileset(tmp_path_factory.mktemp("any") / "set", rows)
    wanted = {"train"} | ({"val"} if val else set()) | ({"test"} if test else set())
    if len(set(groups)) < len(wanted):
        with pytest.raises(DataError, match="cannot make"):
            split_tiles(tileset, by=by, val=val, test=test)
        return
    divided = split_tiles(tileset, by=by, val=val, test=test, seed=data.draw(st.integers(0, 3)))
    assert (divided.table.groupby(by)["split"].nunique() == 1).all()
    assert set(divided.table["split"]) == wanted
    assert not check_leak(divided).leaks


def test_auto_is_by_patient_then_by_slide_and_never_by_chance(tmp_path):
    by_patient = split_tiles(make_tileset(tmp_path / "p", rows_of(10, 4, slide="all on one slide")))
    assert by_patient.split_record["by"] == "patient"
    by_slide = split_tiles(make_tileset(tmp_path / "s", [{"slide": f"S{n % 9}"} for n in range(30)]))
    assert by_slide.split_record["by"] == "slide"
    unknown = make_tileset(tmp_path / "u", [{"patient": "P1"}, {"slide": "S1"}, {}])
    with pytest.raises(DataError, match="neither patient nor slide .* `by='random'`"):
        split_tiles(unknown)


def test_missing_patients_are_counted(tmp_path):
    tileset = make_tileset(tmp_path / "set", [*rows_of(5, 2), {}, {}])
    with pytest.raises(DataError, match="2 of 12 tiles have no patient"):
        split_tiles(tileset, by="patient")


def test_shares_come_near_for_every_class(tmp_path):
    divided = split_tiles(make_tileset(tmp_path / "set", rows_of(20, 10)), val=0.2, test=0.1)
    for name in "AB":
        mine = divided.table[divided.table["class"] == name]
        assert mine["split"].value_counts().to_dict() == {"train": 70, "val": 20, "test": 10}


def test_random_is_exact_in_every_class(tmp_path):
    rows = [{"class_name": name} for name in "A" * 100 + "B" * 40]
    divided = split_tiles(make_tileset(tmp_path / "set", rows), by="random", val=0.15, test=0.15)
    for name, expected in (("A", {"train": 70, "val": 15, "test": 15}), ("B", {"train": 28, "val": 6, "test": 6})):
        mine = divided.table[divided.table["class"] == name]
        assert mine["split"].value_counts().to_dict() == expected


def test_random_keeps_identical_pictures_together(tmp_path):
    rows = [{"pixels": noise(n // 3, 4), "class_name": "AB"[n % 2]} for n in range(120)]
    divided = split_tiles(make_tileset(tmp_path / "set", rows), by="random")
    assert (divided.table.groupby("digest")["split"].nunique() == 1).all()
    assert not check_leak(divided).leaks


def test_random_gives_rare_classes_to_train_first(tmp_path):
    rows = [{"class_name": name} for name in "A" * 20 + "B" + "C" * 2 + "D" * 3]
    divided = split_tiles(make_tileset(tmp_path / "set", rows, classes="ABCD"), by="random", val=0.4, test=0.5)
    splits = divided.table.groupby("class")["split"].agg(lambda column: sorted(set(column)))
    assert splits["B"] == ["train"]
    assert "train" in splits["C"]
    assert splits["D"] == ["test", "train", "val"]


@pytest.mark.slow
def test_the_seed_decides_and_pixels_and_card_stay(tmp_path):
    tileset = make_tileset(tmp_path / "set", rows_of(25, 3))
    before = [(tmp_path / "set" / name).read_bytes() for name in ("pixels.npy", "tileset.json")]
    first = split_tiles(tileset, seed=1)
    other = split_tiles(first, seed=2)
    again = split_tiles(other, seed=1)
    assert first.split_fingerprint == again.split_fingerprint != other.split_fingerprint
    assert first.fingerprint == other.fingerprint == tileset.fingerprint
    assert before == [(tmp_path / "set" / name).read_bytes() for name in ("pixels.npy", "tileset.json")]
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["pixels.npy", "tiles.parquet", "tileset.json"]


def test_the_record_says_how(tmp_path):
    divided = split_tiles(make_tileset(tmp_path / "set", rows_of(20, 2)), val=0.2, test=0.1, seed=3)
    assert divided.split_record == {"by": "patient", "seed": 3, "val": 0.2, "test": 0.1}
    assert TileSet.open(tmp_path / "set").split_record == divided.split_record
    json.dumps(divided.split_record)
    kept = split_tiles(divided, by="random", val=0.5, keep_test=True)
    assert kept.split_record == {"by": "random", "seed": 0, "val": 0.5, "keep_test": True, "test_by": "patient"}


def test_the_test_split_can_be_kept(tmp_path):
    rows = [*rows_of(10, 4), *({"patient": "T", "split": "test"} for _ in range(7))]
    tileset = make_tileset(tmp_path / "set", rows)
    divided = split_tiles(tileset, val=0.3, keep_test=True)
    assert divided.rows("test").tolist() == list(range(40, 47))
    assert shares(divided) == {"train": 28, "val": 12, "test": 7}
    with pytest.raises(DataError, match="no test split to keep"):
        split_tiles(make_tileset(tmp_path / "none", rows_of(5, 2)), keep_test=True)
    only_test = make_tileset(tmp_path / "only", [{"split": "test"}])
    with pytest.raises(DataError, match="none remain to be split"):
        split_tiles(only_test, keep_test=True)


def test_a_split_of_share_zero_is_left_out(tmp_path):
    tileset = make_tileset(tmp_path / "set", rows_of(10, 2))
    assert shares(split_tiles(tileset, val=0.2, test=0)) == {"train": 16, "val": 4}
    assert shares(split_tiles(tileset, val=0, test=0)) == {"train": 20}
    assert shares(split_tiles(tileset, by="random", val=0, test=0.5)) == {"train": 10, "test": 10}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val": -0.1}, "`val=-0.1`"),
        ({"test": float("nan")}, "`test=nan`"),
        ({"val": 1.0}, "`val=1.0`"),
        ({"val": 0.5, "test": 0.5}, "no training tiles"),
        ({"by": "moon"}, "`by='moon'`"),
    ],
)
def test_impossible_requests_are_refused(tmp_path, options, message):
    tileset = make_tileset(tmp_path / "set", rows_of(10, 2))
    with pytest.raises(DataError, match=message):
        split_tiles(tileset, **options)
    assert TileSet.open(tmp_path / "set").split_record is None


def test_too_few_groups_are_refused(tmp_path):
    tileset = make_tileset(tmp_path / "set", rows_of(2, 10))
    with pytest.raises(DataError, match="2 patients cannot make 3 splits"):
        split_tiles(tileset)
    one_each = make_tileset(tmp_path / "few", [{"class_name": name} for name in "ABCD"], classes="ABCD")
    with pytest.raises(DataError, match="too few tiles"):
        split_tiles(one_each, by="random")


def test_a_tileset_may_be_given_as_its_folder(tmp_path):
    rows = [{"class_name": "AB"[n % 2], "patient": f"p{n // 2}"} for n in range(12)]
    folder = make_tileset(tmp_path / "set", rows).folder
    tileset = split_tiles(str(folder), by="patient", val=0.3, test=0.3)
    assert set(tileset.table["split"]) == {"train", "val", "test"}
    assert check_leak(str(folder)) == check_leak(tileset)
    assert summary_table(folder).equals(summary_table(tileset))
    sheets = [draw_contact_sheet(given, tmp_path / f"{name}.png") for name, given in (("a", folder), ("b", tileset))]
    assert sheets[0].read_bytes() == sheets[1].read_bytes()
    with pytest.raises(DataError, match="not a TileSet"):
        split_tiles(tmp_path)
