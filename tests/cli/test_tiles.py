"""`hviskd tiles` imports, divides and shows, says where it wrote, and names a mistake in one line."""

import pytest
from PIL import Image
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.tiles import TileSet
from tests.tiles.samples import write_picture


def hviskd(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def photos(tmp_path):
    """Ten patients with two pictures each, and one broken file."""
    lines = ["picture,case"]
    for number in range(20):
        write_picture(tmp_path / "photos" / ("tumour", "normal")[number % 2] / f"{number}.png", number)
        lines.append(f"{number},P{number // 2}")
    (tmp_path / "photos" / "normal" / "broken.png").write_bytes(b"nothing")
    lines.append("broken,P0")
    (tmp_path / "cases.csv").write_text("\n".join(lines))
    return tmp_path / "photos"


@pytest.fixture
def tiles(photos, tmp_path):
    csv = ("--csv", tmp_path / "cases.csv", "--file-column", "picture", "--patient-column", "case")
    done = hviskd("tiles", "import", photos, "-o", tmp_path / "tiles", *csv, "--mpp", 0.5, "--licence", "CC0")
    assert done.exit_code == 0, done.output
    return done


def test_import_says_what_it_made_and_left_out(tiles, tmp_path):
    assert "normal/broken.png: damaged" in tiles.stdout
    assert "1 damaged" in tiles.stdout
    assert f"wrote {tmp_path / 'tiles'}" in tiles.stdout
    tileset = TileSet.open(tmp_path / "tiles")
    assert (len(tileset), tileset.mpp, tileset.card.origin.licence) == (20, 0.5, "CC0")


@pytest.mark.slow
def test_split_and_info(tiles, tmp_path):
    done = hviskd("tiles", "split", tmp_path / "tiles", "--by", "patient", "--val", 0.2, "--test", 0.2, "--seed", 1)
    assert done.exit_code == 0, done.output
    assert "No patient appears in more than one split (10 patients)." in done.stdout
    assert TileSet.open(tmp_path / "tiles").split_record == {"by": "patient", "seed": 1, "val": 0.2, "test": 0.2}
    done = hviskd("tiles", "info", tmp_path / "tiles")
    assert done.exit_code == 0, done.output
    for word in ("20 tiles of 8 px, 0.5 µm/px; licence: CC0", "tumour", "patients", "No patient appears"):
        assert word in done.stdout
    with Image.open(tmp_path / "tiles" / "contact-sheet.png") as sheet:
        assert sheet.width > 500
    assert hviskd("tiles", "info", tmp_path / "tiles", "-o", tmp_path / "sheet.png").exit_code == 0
    assert (tmp_path / "sheet.png").is_file()


def test_a_class_that_a_split_lacks_is_told(tmp_path):
    lines = ["file,patient"]
    for patient in range(6):
        for name in ("common", "rare")[: 2 if patient == 0 else 1]:
            write_picture(tmp_path / "photos" / name / f"{patient}{name}.png", len(lines))
            lines.append(f"{patient}{name}.png,P{patient}")
    (tmp_path / "p.csv").write_text("\n".join(lines))
    done = hviskd("tiles", "import", tmp_path / "photos", "-o", tmp_path / "set", "--csv", tmp_path / "p.csv")
    assert "no tile of" not in done.stdout
    done = hviskd("tiles", "split", tmp_path / "set")
    assert "note: no tiles of rare in the val split\nnote: no tiles of rare in the test split\n" in done.stdout


def test_a_random_split_is_said_to_leak(tiles, tmp_path):
    done = hviskd("tiles", "split", tmp_path / "tiles", "--by", "random")
    assert done.exit_code == 0
    assert "LEAK:" in done.stdout


def test_options_reach_the_import(photos, tmp_path):
    options = ("--tile-px", 4, "--resize", "--classes", "tumour, normal", "--mpp", 0.25)
    assert hviskd("tiles", "import", photos, "-o", tmp_path / "set", *options).exit_code == 0
    tileset = TileSet.open(tmp_path / "set")
    assert (tileset.tile_px, tileset.mpp, tileset.classes) == (4, 0.5, ("tumour", "normal"))
    again = hviskd("tiles", "import", photos, "-o", tmp_path / "set")
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    assert hviskd("tiles", "import", photos, "-o", tmp_path / "set", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    "words", [("info", "nowhere"), ("split", "nowhere"), ("import", "nowhere", "-o", "x"), ("import", "nowhere")]
)
def test_a_mistake_is_one_line_and_status_2(tmp_path, words, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = hviskd("tiles", *words)
    assert done.exit_code == 2
    assert "Traceback" not in done.output
    assert list(tmp_path.iterdir()) == []


def test_class_names_are_not_read_as_markup(tmp_path):
    write_picture(tmp_path / "photos" / "[red]x[bold]" / "1.png")
    done = hviskd("tiles", "import", tmp_path / "photos", "-o", tmp_path / "set")
    assert "[red]x[bold]" in done.stdout


def test_every_verb_has_examples():
    for verb in ("import", "split", "info"):
        assert f"hviskd tiles {verb} " in hviskd("tiles", verb, "--help").stdout
