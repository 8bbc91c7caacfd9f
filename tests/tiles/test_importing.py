"""Class folders become a TileSet in a settled order; what cannot be a tile is named, and failure leaves nothing."""

import json
import warnings

import numpy as np
import pytest
from PIL import Image

from hviskd.errors import DataError
from hviskd.tiles import CsvColumns, ImportSettings, check_leak, import_folder, split_tiles
from tests.data import DATA, REAL, name, present
from tests.tiles.samples import noise, write_picture


@pytest.fixture
def photos(tmp_path):
    """Two classes of three 8 px pictures, whose seeds are their names."""
    for number in range(6):
        write_picture(tmp_path / "photos" / "BA"[number % 2] / f"{number}.png", number)
    return tmp_path / "photos"


def test_pictures_come_in_the_order_of_their_paths(photos, tmp_path):
    tileset = import_folder(photos, tmp_path / "set", settings=ImportSettings(mpp=0.5, licence="CC0"))
    assert tileset.table["file"].tolist() == ["A/1.png", "A/3.png", "A/5.png", "B/0.png", "B/2.png", "B/4.png"]
    assert tileset.classes == ("A", "B")
    assert tileset.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert all((tile == noise(seed)).all() for tile, seed in zip(tileset.pixels, (1, 3, 5, 0, 2, 4), strict=True))
    assert (tileset.tile_px, tileset.mpp, tileset.card.origin.licence) == (8, 0.5, "CC0")
    assert tileset.split_record is None
    assert tileset.table["split"].isna().all()


def test_classes_fix_the_order_and_may_name_absent_ones(photos, tmp_path):
    tileset = import_folder(photos, tmp_path / "set", settings=ImportSettings(classes=["B", "C", "A"]))
    assert tileset.classes == ("B", "C", "A")
    assert tileset.labels.tolist() == [2, 2, 2, 0, 0, 0]


def test_split_folders_are_kept(tmp_path):
    for number, split in enumerate(("train", "valid", "test")):
        write_picture(tmp_path / "photos" / split / "A" / f"{number}.png", number)
    tileset = import_folder(tmp_path / "photos", tmp_path / "set")
    assert dict(zip(tileset.table["file"], tileset.table["split"], strict=True)) == {
        "train/A/0.png": "train",
        "valid/A/1.png": "val",
        "test/A/2.png": "test",
    }
    assert tileset.split_record == {"by": "folders"}


def test_cutting_takes_the_centre(photos, tmp_path):
    write_picture(photos / "A" / "wide.png", 77, side=20, height=10)
    write_picture(photos / "A" / "small.png", 78, side=5)
    tileset = import_folder(photos, tmp_path / "set", settings=ImportSettings(tile_px=6, mpp=0.5))
    row = tileset.table["file"].tolist().index("A/wide.png")
    assert (tileset.pixels[row] == noise(77, 20, 10)[2:8, 7:13]).all()
    assert tileset.card.origin.dropped == {"smaller than 6 px": 1}
    assert tileset.mpp == 0.5


def test_resizing_takes_the_whole_and_rescales(photos, tmp_path):
    tileset = import_folder(photos, tmp_path / "set", settings=ImportSettings(tile_px=4, resize=True, mpp=0.5))
    assert tileset.pixels.shape == (6, 4, 4, 3)
    assert tileset.mpp == 1.0
    means = noise(1).mean(axis=(0, 1)), tileset.pixels[0].mean(axis=(0, 1))
    assert np.abs(means[0] - means[1]).max() < 12


def test_what_cannot_be_a_tile_is_named_and_left_out(photos, tmp_path):
    write_picture(photos / "A" / "odd.png", 7, side=9)
    (photos / "A" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    cut = write_picture(photos / "B" / "cut.png", 8)
    cut.write_bytes(cut.read_bytes()[:100])
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(photos / "B" / "deep.png")
    (photos / "B" / "notes.txt").write_text("hello")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tileset = import_folder(photos, tmp_path / "set")
    origin = tileset.card.origin
    assert len(tileset) == 6
    assert origin.dropped == {
        "damaged": 2,
        "not 8 × 8 px": 1,
        "more than 8 bits per channel": 1,
        "not JPEG, PNG, TIFF or WebP": 1,
    }
    assert [name.split(":")[0] for name in origin.dropped_files] == [
        "A/broken.jpg",
        "A/odd.png",
        "B/cut.png",
        "B/deep.png",
    ]


def test_a_class_of_which_nothing_is_left_is_refused(photos, tmp_path):
    (photos / "C").mkdir()
    (photos / "C" / "x.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match="class C: none of its 1 images"):
        import_folder(photos, tmp_path / "set")
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_a_csv_gives_slides_patients_and_places(photos, tmp_path):
    rows = "".join(f"{n},s{n % 3},p{n % 2},{100 * n},0\n" for n in range(6))
    (tmp_path / "index.csv").write_text("name,slide,case,x_px,y_px\n" + rows)
    tileset = import_folder(
        photos,
        tmp_path / "set",
        csv=tmp_path / "index.csv",
        columns=CsvColumns(file="name", patient="case"),
        settings=ImportSettings(tile_px=6),
    )
    second = tileset.table.iloc[1]  # A/3.png
    assert second[["slide", "patient", "x_px", "y_px", "side_px"]].tolist() == ["s0", "p1", 301, 1, 6]


def test_the_same_pictures_give_the_same_tile_set(photos, tmp_path):
    first, second = (import_folder(photos, tmp_path / name) for name in ("one", "two"))
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resize": True}, "`tile_px`"),
        ({"tile_px": 0}, "`tile_px=0`"),
        ({"mpp": 0.0}, "`mpp=0.0`"),
        ({"mpp": float("inf")}, "`mpp=inf`"),
        ({"classes": ["A"]}, "not one of the classes"),
    ],
)
def test_settings_that_do_not_fit_are_refused(photos, tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        import_folder(photos, tmp_path / "set", settings=ImportSettings(**options))
    assert not (tmp_path / "set").exists()


def test_a_missing_csv_is_named(photos, tmp_path):
    with pytest.raises(DataError, match=r"absent\.csv: no such file"):
        import_folder(photos, tmp_path / "set", csv="absent.csv")
    assert not (tmp_path / "set").exists()


def test_folders_tell_patients_and_a_csv_more(tmp_path):
    for number in range(4):
        write_picture(tmp_path / "photos" / f"P{number // 2}" / "AB"[number % 2] / f"{number}.png", number)
    settings = ImportSettings(layout="patient/class")
    plain = import_folder(tmp_path / "photos", tmp_path / "plain", settings=settings)
    assert plain.table[["patient", "class"]].to_numpy().tolist() == [["P0", "A"], ["P0", "B"], ["P1", "A"], ["P1", "B"]]
    (tmp_path / "slides.csv").write_text("file,slide\n" + "".join(f"{n}.png,S{n}\n" for n in range(4)))
    both = import_folder(tmp_path / "photos", tmp_path / "both", csv=tmp_path / "slides.csv", settings=settings)
    assert both.table["slide"].tolist() == ["S0", "S1", "S2", "S3"]
    assert both.table["patient"].tolist() == plain.table["patient"].tolist()
    assert both.card.origin.options["layout"] == "patient/class"


def test_whoever_waits_is_told(photos, tmp_path):
    told = []
    import_folder(photos, tmp_path / "set", progress=lambda *step: told.append(step))
    assert told == [(n, 6, what) for what in ("reading sizes", "importing") for n in range(1, 7)]


def test_the_output_must_not_lie_in_the_source(photos):
    for place in (photos, photos / "set", photos / "A" / ".." / "set"):
        with pytest.raises(DataError, match="outside"):
            import_folder(photos, place, overwrite=True)
    assert len(list(photos.glob("*/*.png"))) == 6


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such folder"):
        import_folder(tmp_path / "nowhere", tmp_path / "set")


def test_the_card_is_plain_json_that_says_what_was_done(photos, tmp_path):
    import_folder(photos, tmp_path / "set", settings=ImportSettings(tile_px=4, resize=True, mpp=0.25))
    origin = json.loads((tmp_path / "set" / "tileset.json").read_text())["origin"]
    assert origin["verb"] == "tiles import"
    assert origin["source"] == str(photos)
    assert origin["options"] == {"csv": None, "layout": None, "tile_px": 4, "resize": True, "mpp": 0.25}


FOLDERS = {  # the table, tiles, side in px, patients
    DATA / "tiles": ("tiles.csv", 24, 64, 8),
    REAL / "brain150/images": ("index.csv", 315, 150, 20),
}


@pytest.mark.slow
@pytest.mark.parametrize("folder", present(FOLDERS), ids=name)
def test_tiles_named_by_their_place_split_by_the_patient_of_a_table(tmp_path, folder):
    table, tiles, side, patients = FOLDERS[folder]
    columns = CsvColumns(file="name", patient="group")
    tileset = import_folder(folder, tmp_path / "set", csv=folder.parent / table, columns=columns)
    assert tileset.pixels.shape == (tiles, side, side, 3)
    assert tileset.table["patient"].nunique() == patients
    report = check_leak(split_tiles(tileset))
    assert report.statement == f"No patient appears in more than one split ({patients} patients)."
