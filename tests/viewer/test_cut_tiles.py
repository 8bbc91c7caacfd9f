"""The tiles of a TileSet lie where they were cut, in the colours of their classes, slide by slide."""

import subprocess
import sys

import numpy as np
import pytest

from hviskd.errors import DataError
from hviskd.viewer import OnSlides, open_viewer
from tests.tiles.samples import make_tileset
from tests.viewer.asking import ask

PLACES = [("A", 128, 64, "train"), ("B", 512, 448, "val"), ("A", 832, 640, "test")]


@pytest.fixture(scope="module")
def tileset(tmp_path_factory):
    """Three tiles of slide A, one of slide B.svs, and one whose place is not known."""
    rows = [
        {"class_name": name, "slide": "A", "x_px": x, "y_px": y, "side_px": 64, "split": split}
        for name, x, y, split in PLACES
    ]
    rows.append({"class_name": "B", "slide": "B.svs", "x_px": 0, "y_px": 0, "side_px": 64, "split": "train"})
    rows.append({"class_name": "B", "slide": "A", "split": "train"})
    return make_tileset(tmp_path_factory.mktemp("secret-place") / "tiles", rows)


@pytest.fixture(scope="module")
def cut(cohort, tileset):
    with open_viewer(cohort / "slides", OnSlides(tiles=tileset.folder)) as viewer:
        yield viewer


@pytest.fixture(scope="module")
def cut_keys(cut):
    return {row["name"]: row["key"] for row in ask(cut, "/slides").json["slides"]}


def test_each_slide_has_its_own(cut, cut_keys, tileset):
    told = ask(cut, f"/slides/{cut_keys['A.svs']}/cut-tiles").json
    assert list(zip(told["class"], told["x"], told["y"], told["split"], strict=True)) == [
        ("AB".index(name), x, y, split) for name, x, y, split in PLACES
    ]
    assert told["side"] == [64] * 3
    assert [each["name"] for each in told["classes"]] == ["A", "B"]
    assert [tuple(each["colour"]) for each in told["classes"]] == list(tileset.card.colours)
    assert ask(cut, f"/slides/{cut_keys['B.svs']}/cut-tiles").json["x"] == [0]
    assert ask(cut, f"/slides/{cut_keys['C.svs']}/cut-tiles").status == 404
    assert [ask(cut, f"/slides/{cut_keys[f'{name}.svs']}").json["cut"] for name in "ABC"] == [True, True, False]


def test_without_labels_and_splits_there_are_places_still(cohort, tmp_path):
    bare = make_tileset(
        tmp_path / "bare", [{"class_name": None, "slide": "A", "x_px": 5, "y_px": 6, "side_px": 9}], classes=()
    )
    with open_viewer(cohort / "slides", OnSlides(tiles=bare)) as viewer:
        told = ask(viewer, f"/slides/{ask(viewer, '/slides').json['slides'][0]['key']}/cut-tiles").json
    assert (told["x"], told["class"], told["split"], told["classes"]) == ([5], [-1], [""], [])


def test_what_is_no_tileset_is_told(cohort, tmp_path):
    with pytest.raises(DataError, match="not a TileSet"):
        open_viewer(cohort / "slides", OnSlides(tiles=tmp_path))


def test_who_only_views_slides_does_not_load_pandas(cohort):
    code = (
        "import sys; from hviskd.viewer import open_viewer;"
        "open_viewer(sys.argv[1]).close(); print({'pandas', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, cohort / "slides"], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.slow
def test_they_are_drawn_where_they_were_cut(cut, cut_keys, look, tileset):
    opened = look(f"{cut.address}#slide={cut_keys['A.svs']}&x=640&y=480&power=10")
    opened.set_layers("tiles")
    painted = opened.overlay()
    across, down = opened.level0()
    inside = np.zeros(painted.shape[:2], int)
    for number, (_, x, y, _) in enumerate(PLACES, start=1):
        inside[np.ix_((down > y + 6) & (down < y + 58), (across > x + 6) & (across < x + 58))] = number
    near = np.zeros(painted.shape[:2], bool)
    for _, x, y, _ in PLACES:
        near |= np.outer((down > y - 4) & (down < y + 68), (across > x - 4) & (across < x + 68))
    assert not painted[..., 3][~near].any()
    for number, (name, *_) in enumerate(PLACES, start=1):
        there = painted[inside == number]
        assert len(there) > 500
        assert np.abs(there[:, :3].astype(int) - tileset.card.colours["AB".index(name)]).max() <= 4
        assert 60 < there[:, 3].mean() < 95  # of 255: three tenths
    key = opened.page.inner_text("#layer-list .key")
    assert all(words in key for words in ("A 2", "B 1", "train 1 (solid), val 1 (dashed), test 1 (dotted)"))
