"""Probabilities of pictures without labels: those of the Model itself, row by row, and a reason for what has none."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import hviskd
from hviskd.cli.app import app
from hviskd.errors import DataError, ModelError
from hviskd.models import Compute, predicting, prediction_file, save_model
from hviskd.models.card import CalibrationRecord
from hviskd.tiles import TileSet
from tests.conftest import write_tiles
from tests.models.make import make_model
from tests.tiles.samples import make_tileset, noise, write_picture

PX, CLASSES = 32, ("pale", "middle", "dark")
PROBABILITIES = [f"probability_{name}" for name in CLASSES]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("model") / "model", tile_px=PX, classes=CLASSES)


@pytest.fixture(scope="module")
def calibrated(model, tmp_path_factory):
    """The same with a threshold that lies among its answers to noise."""
    tops = model.predict(np.stack([noise(seed, PX) for seed in range(6)])).max(axis=1)
    record = CalibrationRecord(
        temperature=1.0,
        data="tiles",
        data_fingerprint="0",
        val_tiles=6,
        nll_before=1.0,
        nll_after=1.0,
        ece_before=0.1,
        ece_after=0.1,
        accuracy=0.9,
        sure_share=0.5,
        unsure_below=float(np.median(tops)),
    )
    card = model.card.model_copy(update={"calibration": record})
    return save_model(model.network, card, tmp_path_factory.mktemp("calibrated") / "model")


@pytest.fixture
def photos(tmp_path):
    for seed in range(6):
        write_picture(tmp_path / "photos" / ("a", "b/deep", ".")[seed % 3] / f"{seed}.png", seed, PX)
    return tmp_path / "photos"


def hviskd_(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_folder_s_probabilities_are_the_model_s_own(model, photos, tmp_path):
    made = hviskd.predict(model, photos, tmp_path / "out.parquet", compute=Compute(batch_size=4))
    table = made.to_dataframe()
    assert list(table.columns) == ["file", *PROBABILITIES, "class", "confidence"]
    assert sorted(table["file"]) == ["2.png", "5.png", "a/0.png", "a/3.png", "b/deep/1.png", "b/deep/4.png"]
    pixels = np.stack([np.asarray(Image.open(photos / file)) for file in table["file"]])
    expected = model.predict(pixels)
    np.testing.assert_allclose(table[PROBABILITIES], expected, atol=1e-6)
    assert table["class"].tolist() == [CLASSES[label] for label in expected.argmax(axis=1)]
    np.testing.assert_allclose(table["confidence"], expected.max(axis=1), atol=1e-6)
    assert made.counts == {name: int((table["class"] == name).sum()) for name in CLASSES}
    assert (len(made), made.unsure, made.left_out) == (6, None, {})
    assert "6 classified" in made._repr_html_()


def test_csv_says_the_same(model, photos, tmp_path):
    tables = [hviskd.predict(model, photos, tmp_path / f"out{end}").to_dataframe() for end in (".parquet", ".csv")]
    pd.testing.assert_frame_equal(*tables, check_dtype=False, atol=1e-6)


def test_names_that_look_like_numbers_or_nothing_stay_names(photos, tmp_path):
    odd = make_model(tmp_path / "odd", tile_px=PX, classes=("1", "NA", 'a "b", c'))
    write_picture(photos / "007.png", 7, PX)
    tables = [hviskd.predict(odd, photos, tmp_path / f"out{end}").to_dataframe() for end in (".parquet", ".csv")]
    pd.testing.assert_frame_equal(*tables, check_dtype=False, atol=1e-6)
    assert set(tables[1]["class"]) <= {"1", "NA", 'a "b", c'}
    assert "007.png" in set(tables[1]["file"])


def test_a_calibrated_model_says_where_it_is_unsure(calibrated, photos, tmp_path):
    made = hviskd.predict(calibrated, photos, tmp_path / "out.parquet")
    table = made.to_dataframe()
    threshold = calibrated.card.calibration.unsure_below
    assert table["unsure"].tolist() == (table["confidence"] < threshold).tolist()
    assert 0 < made.unsure == table["unsure"].sum() < 6
    record = pq.read_schema(tmp_path / "out.parquet").metadata[b"hviskd.predictions"].decode()
    assert calibrated.fingerprint in record
    assert "not a medical device" in record


def test_pictures_of_another_size_and_damaged_ones_are_left_out_with_the_reason(model, photos, tmp_path):
    write_picture(photos / "wide.png", 7, 48, height=40)
    (photos / "broken.png").write_bytes(b"nothing")
    (photos / "notes.txt").write_text("a note")
    made = hviskd.predict(model, photos, tmp_path / "out.csv")
    assert {name: predicting.said(why) for name, why in made.left_out.items()} == {
        "wide.png": "not 32 × 32 px (48 × 40 px)",
        "broken.png": predicting.said(made.left_out["broken.png"]),
    }
    assert made.left_out["broken.png"].reason == "damaged"
    assert len(made) == 6
    assert any("1 files that are not JPEG" in note for note in made.notes)


def test_resize_takes_the_largest_centred_square(model, tmp_path):
    write_picture(tmp_path / "photos" / "wide.png", 7, 48, height=40)
    made = hviskd.predict(model, tmp_path / "photos", tmp_path / "out.parquet", resize=True)
    square = (
        Image.open(tmp_path / "photos" / "wide.png").crop((4, 0, 44, 40)).resize((PX, PX), Image.Resampling.LANCZOS)
    )
    expected = model.predict(np.asarray(square)[None])
    np.testing.assert_allclose(made.to_dataframe()[PROBABILITIES], expected, atol=1e-6)


def test_a_split_of_a_tileset_has_its_rows_and_patients(model, tileset, tmp_path):
    made = hviskd.predict(model, tileset.folder, tmp_path / "out.parquet", split="test")
    table = made.to_dataframe()
    rows = tileset.rows("test")
    assert list(table.columns[:3]) == ["row", "file", "patient"]
    assert table["row"].tolist() == rows.tolist()
    assert table["patient"].tolist() == tileset.table["patient"].iloc[rows].tolist()
    np.testing.assert_allclose(table[PROBABILITIES], model.predict(tileset.pixels[rows]), atol=1e-6)
    assert [note.partition(",")[0] for note in made.notes] == ["trained at 0.5 µm/px"]
    assert len(hviskd.predict(model, tileset, tmp_path / "all.parquet")) == len(tileset)


def test_tiles_need_no_labels_and_a_patient_may_be_unknown(model, tmp_path):
    rows = [{"class_name": None, "slide": "S1"}, {"class_name": None}]
    unlabelled = make_tileset(tmp_path / "tiles", rows, classes=(), tile_px=PX)
    table = hviskd.predict(model, unlabelled, tmp_path / "out.parquet").to_dataframe()
    assert list(table.columns[:3]) == ["row", "file", "slide"]
    assert table["slide"].isna().tolist() == [False, True]


def test_rows_are_written_as_they_come(model, tileset, tmp_path, monkeypatch):
    whole = hviskd.predict(model, tileset, tmp_path / "whole.parquet").to_dataframe()
    monkeypatch.setattr(prediction_file, "_ROWS", 50)
    made = hviskd.predict(model, tileset, tmp_path / "parts.parquet", compute=Compute(batch_size=25))
    assert pq.ParquetFile(made.file).num_row_groups == -(-len(tileset) // 50)
    pd.testing.assert_frame_equal(made.to_dataframe(), whole, atol=1e-6)
    in_lines = hviskd.predict(model, tileset, tmp_path / "parts.csv", compute=Compute(batch_size=25))
    pd.testing.assert_frame_equal(in_lines.to_dataframe(), whole, check_dtype=False, atol=1e-6)


def test_few_pictures_are_decoded_ahead_of_what_is_classified(model, tmp_path, monkeypatch):
    for seed in range(40):
        write_picture(tmp_path / "photos" / f"{seed:02}.png", seed, PX)
    decoded, read = [], predicting.read_tile
    monkeypatch.setattr(predicting, "read_tile", lambda path, **how: (decoded.append(path), read(path, **how))[1])
    pictures = predicting._Pictures(model.card, tmp_path / "photos", 2, resize=False).items()
    next(pictures)
    pictures.close()
    assert len(decoded) <= 10


@pytest.mark.parametrize(
    ("pictures", "output", "how", "message"),
    [
        ("photos", "out.txt", {}, r"`output='.*out\.txt'`: must end in \.parquet or \.csv"),
        ("photos", "old.csv", {}, r"old\.csv: already exists; choose another name or pass `overwrite=True`"),
        ("photos", "out.csv", {"split": "test"}, r"`split='test'`: a folder of images has no splits"),
        ("nowhere", "out.csv", {}, "nowhere: no such folder"),
        ("old.csv", "out.csv", {}, r"old\.csv: a file; name a folder of images"),
        ("empty", "out.csv", {}, "empty: contains no JPEG, PNG, TIFF or WebP images"),
        ("large", "out.csv", {}, r"large: none of its 1 images can be used \(0\.png: not 32 × 32 px.*`resize=True`"),
        (
            "photos",
            "out.csv",
            {"compute": Compute(precision="int8")},
            r"has no int8 variant; make one with `quantize\(\)`",
        ),
    ],
)
def test_a_mistake_is_said_and_nothing_is_written(model, photos, tmp_path, pictures, output, how, message):
    (tmp_path / "empty").mkdir()
    write_picture(tmp_path / "large" / "0.png", 0, 2 * PX)
    (tmp_path / "old.csv").write_text("old")
    before = sorted(tmp_path.iterdir())
    with pytest.raises((DataError, ModelError), match=message):
        hviskd.predict(model, tmp_path / pictures, tmp_path / output, **how)
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "old.csv").read_text() == "old"


def test_tiles_that_do_not_fit_are_refused(model, tmp_path):
    other = write_tiles(tmp_path / "other", patients=5, tiles_per_class=1, tile_px=40, splits=False)
    with pytest.raises(ModelError, match="needs tiles of 32 px, but .* has tiles of 40 px"):
        hviskd.predict(model, other, tmp_path / "out.csv")
    fitting = make_tileset(tmp_path / "tiles", [{}], tile_px=PX)
    with pytest.raises(DataError, match=r"no tiles in the val split; split them with `split_tiles\(\)`"):
        hviskd.predict(model, fitting, tmp_path / "out.csv", split="val")
    with pytest.raises(DataError, match="`resize=True`: is for folders of images"):
        hviskd.predict(model, fitting, tmp_path / "out.csv", resize=True)


def test_a_model_without_sense_leaves_the_old_file(model, photos, tmp_path):
    network = make_model(tmp_path / "other", tile_px=PX, classes=CLASSES).network
    with torch.no_grad():
        next(network.parameters()).fill_(torch.nan)
    broken = save_model(network, model.card, tmp_path / "broken")
    (tmp_path / "out.csv").write_text("old")
    with pytest.raises(ModelError, match="NaN or infinity"):
        hviskd.predict(broken, photos, tmp_path / "out.csv", overwrite=True)
    assert (tmp_path / "out.csv").read_text() == "old"


def test_the_verb_lists_what_is_left_out_at_the_end_and_ends_with_1(calibrated, photos, tmp_path):
    sound = hviskd_("predict", calibrated.folder, photos, "-o", tmp_path / "out.csv")
    assert sound.exit_code == 0, sound.output
    assert "of 6 unsure: below the model's threshold" in sound.stdout
    assert "note: trained at 0.5 µm/px" in sound.stdout
    write_picture(photos / "wide.png", 7, 48, height=40)
    (photos / "broken.png").write_bytes(b"nothing")
    done = hviskd_("predict", calibrated.folder, photos, "-o", tmp_path / "out.csv", "--overwrite")
    assert done.exit_code == 1
    listed = done.stdout.partition("left out: ")[2].splitlines()
    assert listed[0] == "1 damaged, 1 not 32 × 32 px"
    assert listed[2] == "  wide.png: not 32 × 32 px (48 × 40 px)"
    assert listed[-2] == "note: --resize takes images of other sizes, too"
    assert listed[-1] == f"wrote {tmp_path / 'out.csv'}"
    assert len(pd.read_csv(tmp_path / "out.csv")) == 6


def test_a_long_list_of_what_is_left_out_is_cut(monkeypatch, capsys):
    from hviskd.cli import predict as verb
    from hviskd.tiles.decoding import LeftOut

    left_out = {f"{number}.png": LeftOut("damaged") for number in range(70)}
    verb._print_left_out(SimpleNamespace(left_out=left_out), None)
    assert capsys.readouterr().out.splitlines()[-1] == "  and 20 more"


def test_it_opens_what_it_wrote_as_a_tileset_s_rows(model, tileset, tmp_path):
    """The rows lead back to the tiles."""
    table = hviskd.predict(model, tileset, tmp_path / "out.parquet", split="val").to_dataframe()
    opened = TileSet.open(tileset.folder)
    assert opened.table["file"].iloc[table["row"]].tolist() == table["file"].tolist()
