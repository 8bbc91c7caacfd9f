"""A TileSet gives back what was written, and refuses files that are damaged or do not fit each other."""

import hashlib
import json
import pickle

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from hviskd.errors import DataError
from hviskd.tiles import TileSet, split_tiles
from tests.tiles.samples import make_tileset, noise

ROWS = (
    {"class_name": "B", "slide": "s1", "patient": "p1", "x_px": 10, "y_px": 20, "side_px": 8, "split": "train"},
    {"class_name": "A", "slide": "s2", "patient": None, "split": "val"},
    {"class_name": "B", "slide": "s2", "patient": "p2", "split": "train"},
    {"class_name": "A"},
)


def test_written_tiles_come_back(tmp_path):
    tileset = make_tileset(tmp_path / "set", ROWS, mpp=0.5)
    assert (len(tileset), tileset.tile_px, tileset.mpp, tileset.classes) == (4, 4, 0.5, ("A", "B"))
    assert tileset.pixels.dtype == np.uint8
    assert isinstance(tileset.pixels, np.memmap)
    assert all((tileset.pixels[row] == noise(row, 4)).all() for row in range(4))
    assert tileset.labels.dtype == np.int64
    assert tileset.labels.tolist() == [1, 0, 1, 0]
    first = tileset.table.iloc[0]
    assert first.drop("digest").tolist() == ["0.png", "B", "s1", "p1", 10, 20, 8, "train"]
    last = tileset.table.iloc[3]
    assert last[["slide", "patient", "x_px", "y_px", "side_px", "split"]].isna().all()


def test_plain_numpy_reads_the_pixels(tmp_path):
    tileset = make_tileset(tmp_path / "set", ROWS)
    plain = np.load(tmp_path / "set" / "pixels.npy", allow_pickle=False)
    assert (plain == tileset.pixels).all()


def test_pixels_cannot_be_changed_by_accident(tmp_path):
    tileset = make_tileset(tmp_path / "set", ROWS)
    with pytest.raises(ValueError, match="read-only"):
        tileset.pixels[0] = 0


def test_rows_of_a_split(tmp_path):
    tileset = make_tileset(tmp_path / "set", ROWS)
    assert tileset.rows("train").tolist() == [0, 2]
    assert tileset.rows("test").tolist() == []
    assert tileset.rows(None).tolist() == [0, 1, 2, 3]
    assert tileset.rows("train").dtype == tileset.rows("test").dtype == tileset.rows().dtype == np.int64
    with pytest.raises(DataError, match="unknown split 'dev'"):
        tileset.rows("dev")


def test_clusters_are_the_highest_unit_known_of_all_rows(tmp_path):
    tileset = make_tileset(tmp_path / "set", ROWS)
    assert [part if isinstance(part, str) else part.tolist() for part in tileset.clusters(np.array([0, 2]))] == [
        "patient",
        ["p1", "p2"],
    ]
    level, slides = tileset.clusters(np.array([0, 1, 2]))
    assert (level, slides.tolist()) == ("slide", ["s1", "s2", "s2"])
    level, tiles = tileset.clusters(tileset.rows())
    assert level == "tile"
    assert len(np.unique(tiles)) == 4


def test_fingerprint_knows_pixels_and_labels_but_not_the_split(tmp_path):
    rows = [dict(row) for row in ROWS]
    base = make_tileset(tmp_path / "base", rows)
    again = make_tileset(tmp_path / "again", rows)
    assert again.fingerprint == base.fingerprint
    assert again.split_fingerprint == base.split_fingerprint
    resplit = make_tileset(tmp_path / "resplit", [{**row, "split": "test"} for row in rows])
    assert resplit.fingerprint == base.fingerprint
    assert resplit.split_fingerprint != base.split_fingerprint
    relabelled = make_tileset(tmp_path / "labels", [{**rows[0], "class_name": "A"}, *rows[1:]])
    repainted = make_tileset(tmp_path / "pixels", [{**rows[0], "pixels": noise(99, 4)}, *rows[1:]])
    assert len({base.fingerprint, relabelled.fingerprint, repainted.fingerprint}) == 3
    assert len(base.fingerprint) == len(hashlib.sha256().hexdigest())


def test_a_worker_gets_the_file_and_not_a_copy_of_the_pixels(tmp_path):
    tileset = make_tileset(tmp_path / "set", [{} for _ in range(50)], tile_px=32)
    sent = pickle.dumps(tileset)
    assert len(sent) < 1000
    assert (pickle.loads(sent).pixels == tileset.pixels).all()


def rewrite_card(folder, **changes):
    card = json.loads((folder / "tileset.json").read_text())
    card.update(changes)
    (folder / "tileset.json").write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"surprise": 1}, "surprise"),
        ({"format_version": 2}, "newer"),
        ({"format_version": "one"}, "format_version"),
        ({"classes": []}, "classes"),
        ({"classes": ["A", "A"]}, "differ"),
        ({"classes": ["A", "B", "C"]}, "colours"),
        ({"colours": [[0, 0, 0], [0, 0, 256]]}, "colours"),
        ({"tile_px": 0}, "tile_px"),
        ({"tile_px": 5}, "says uint8"),
        ({"mpp": -1}, "mpp"),
        ({"classes": ["A", "C"]}, "'B'"),
        ({"origin": {"verb": "x", "nonsense": 1}}, "nonsense"),
    ],
)
def test_a_card_that_is_wrong_is_refused(tmp_path, changes, word):
    make_tileset(tmp_path / "set", ROWS)
    rewrite_card(tmp_path / "set", **changes)
    with pytest.raises(DataError, match=word):
        TileSet.open(tmp_path / "set")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"mpp": NaN}', '{"format_version": 1}'])
def test_a_card_that_is_no_card_is_refused(tmp_path, text):
    make_tileset(tmp_path / "set", ROWS)
    (tmp_path / "set" / "tileset.json").write_text(text)
    with pytest.raises(DataError, match=r"tileset\.json"):
        TileSet.open(tmp_path / "set")


@pytest.mark.parametrize("name", ["tileset.json", "pixels.npy", "tiles.parquet"])
def test_a_missing_file_is_named(tmp_path, name):
    make_tileset(tmp_path / "set", ROWS)
    (tmp_path / "set" / name).unlink()
    with pytest.raises(DataError, match=name):
        TileSet.open(tmp_path / "set")


def test_a_folder_that_is_no_tile_set_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"`cut_slides\(\)` or `import_folder\(\)`"):
        TileSet.open(tmp_path / "nowhere")


def npy_header(text: str) -> bytes:
    content = text.encode().ljust(118)[:117] + b"\n"
    return b"\x93NUMPY\x01\x00" + len(content).to_bytes(2, "little") + content


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"not an array at all",
        npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (4000000000000, 4, 4, 3), }"),
        npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 4, 4, 3), }"),
        npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (0, 4, 4, 3), }"),
        npy_header("{'descr': '|O', 'fortran_order': False, 'shape': (4, 4, 4, 3), }") + bytes(192 * 8),
        npy_header("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 4, 4, 3), }") + bytes(192 * 4),
        npy_header("{'descr': '|u1', 'fortran_order': True, 'shape': (4, 4, 4, 3), }") + bytes(192),
        npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (4, 48), }") + bytes(192),
        npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': 4, }") + bytes(192),
        npy_header("__import__('os')"),
        npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (4, 4, 4, 3), }") + bytes(193),
    ],
)
def test_a_pixel_file_that_lies_is_refused(tmp_path, content):
    make_tileset(tmp_path / "set", ROWS)
    (tmp_path / "set" / "pixels.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"pixels\.npy"):
        TileSet.open(tmp_path / "set")


def test_a_truncated_pixel_file_is_refused(tmp_path):
    make_tileset(tmp_path / "set", ROWS)
    path = tmp_path / "set" / "pixels.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="copy it again"):
        TileSet.open(tmp_path / "set")


def change_table(folder, change):
    path = folder / "tiles.parquet"
    change(pd.read_parquet(path)).to_parquet(path)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda table: table.drop(columns="digest"), "columns"),
        (lambda table: table.assign(more=1), "columns"),
        (lambda table: table.iloc[:3], "3 rows"),
        (lambda table: table.assign(split="dev"), "'dev'"),
        (lambda table: table.assign(digest=None), "digest"),
        (lambda table: table.assign(side_px=0), "side_px"),
        (lambda table: table.assign(x_px="left"), "readable"),
        (lambda table: table.assign(x_px=0.5), "readable"),
        (lambda table: table.assign(**{"class": "C"}), "'C'"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path, change, word):
    make_tileset(tmp_path / "set", ROWS)
    change_table(tmp_path / "set", change)
    with pytest.raises(DataError, match=word):
        TileSet.open(tmp_path / "set")


def test_a_damaged_table_is_refused(tmp_path):
    make_tileset(tmp_path / "set", ROWS)
    path = tmp_path / "set" / "tiles.parquet"
    content = path.read_bytes()
    for damaged in (b"", content[:100], b"PAR1" + b"\xff" * 200 + b"PAR1", content[:60] + bytes(40) + content[100:]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"tiles\.parquet"):
            TileSet.open(tmp_path / "set")


@pytest.mark.parametrize("record", [b"[1]", b"{", b"\xff"])
def test_a_damaged_record_of_the_split_is_refused(tmp_path, record):
    make_tileset(tmp_path / "set", ROWS)
    path = tmp_path / "set" / "tiles.parquet"
    pq.write_table(pq.read_table(path).replace_schema_metadata({b"hviskd.split": record}), path)
    with pytest.raises(DataError, match=r"tiles\.parquet"):
        TileSet.open(tmp_path / "set")


def test_the_folder_may_be_called_anything(tmp_path):
    """A name such as `split=train` must not be read as a column, as Parquet data sets do."""
    assert len(make_tileset(tmp_path / "split=train" / "a set, of Ωs", ROWS)) == 4


def test_an_opened_tile_set_opens_as_itself(tileset):
    assert TileSet.open(tileset) is tileset


def test_classes_that_a_split_lacks_are_named(tmp_path):
    rows = [("A", "train"), ("B", "train"), ("C", "train"), ("A", "val"), ("C", "test"), ("B", None)]
    tileset = make_tileset(
        tmp_path / "set", [{"class_name": name, "split": split} for name, split in rows], classes=("A", "B", "C", "D")
    )
    assert tileset.missing_classes() == {"val": ("B", "C"), "test": ("A", "B")}  # of D there is no tile at all
    assert make_tileset(tmp_path / "undivided", [{}]).missing_classes() == {}


UNLABELLED = [{"class_name": None, "slide": f"s{number}"} for number in range(3)]


def test_tiles_may_have_no_labels_at_all(tmp_path):
    tileset = make_tileset(tmp_path / "set", UNLABELLED, classes=())
    assert (len(tileset), tileset.classes, tileset.labelled) == (3, (), False)
    assert repr(tileset) == f"TileSet({str(tmp_path / 'set')!r}: 3 tiles, 4 px, no labels)"
    assert tileset.missing_classes() == {}
    named = make_tileset(tmp_path / "named", [{"slide": f"s{number}"} for number in range(3)])
    assert tileset.fingerprint != named.fingerprint
    page = tileset._repr_html_()
    assert "all tiles" in page
    assert page.count("<img") == 1


@pytest.mark.parametrize(
    "use",
    [lambda tiles: tiles.labels, lambda tiles: tiles.require_split("test"), lambda tiles: split_tiles(tiles)],
    ids=["labels", "split", "splitting"],
)
def test_what_needs_labels_refuses_tiles_without(tmp_path, use):
    tileset = make_tileset(tmp_path / "set", UNLABELLED, classes=())
    with pytest.raises(DataError, match="needs labelled tiles, but these have no labels"):
        use(tileset)


def test_some_tiles_with_and_some_without_label_are_no_tileset(tmp_path):
    with pytest.raises(DataError, match="has no class"):
        make_tileset(tmp_path / "set", [{"class_name": "A"}, {"class_name": None}])
    with pytest.raises(DataError, match="class 'A' is not one of none"):
        make_tileset(tmp_path / "set", [{"class_name": "A"}], classes=())
    named = make_tileset(tmp_path / "named", [{"class_name": "A"}])
    card = json.loads((named.folder / "tileset.json").read_text())
    (named.folder / "tileset.json").write_text(json.dumps({**card, "classes": [], "colours": []}))
    with pytest.raises(DataError, match="has classes, but the card says that the tiles have no labels"):
        TileSet.open(named.folder)
