"""What the verbs of `hviskd annotations` refuse to replace, and what they say of what they wrote."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hviskd.cli.annotations import annotations_app
from hviskd.errors import DataError
from tests.annotations.make import SQUARE, feature, labelme, save

GREEN, RED = (5, 208, 4), (255, 51, 0)  # CT and CTmvp of the legend ivygap


def run(*arguments):
    return CliRunner().invoke(annotations_app, [str(argument) for argument in arguments])


@pytest.fixture
def mask(tmp_path):
    """A mask of two pieces of CT and one of CTmvp; the rest is transparent."""
    pixels = np.zeros((30, 40, 4), dtype=np.uint8)
    pixels[2:8, 2:8], pixels[12:18, 2:8], pixels[2:8, 20:30] = (*GREEN, 255), (*GREEN, 255), (*RED, 255)
    Image.fromarray(pixels).save(tmp_path / "a_L.png")
    return tmp_path / "a_L.png"


def refused(result) -> str:
    assert isinstance(result.exception, DataError)
    assert "error" not in result.output
    return str(result.exception)


@pytest.mark.parametrize("options", [(), ("--overwrite",)])
@pytest.mark.parametrize("counted", ["a_L.png", ""])
def test_census_never_writes_over_a_mask_it_counts(mask, options, counted):
    before = mask.read_bytes()
    (mask.parent / "link.csv").symlink_to(mask)
    for output in (mask, mask.parent / "link.csv"):
        result = run("census", mask.parent / counted, "-o", output, *options)
        assert "would replace what it is made from" in refused(result)
        assert "px" not in result.output  # nothing was counted
    assert mask.read_bytes() == before


def test_census_replaces_another_file_only_if_asked(mask):
    mine = mask.with_name("mine.csv")
    mine.write_text("my own work")
    result = run("census", mask, "-o", mine)
    assert "mine.csv: already exists; choose another name or pass `overwrite=True`" in refused(result)
    assert mine.read_text() == "my own work"
    assert run("census", mask, "-o", mine, "--overwrite").exit_code == 0
    assert mine.read_text().startswith("colour,area_px")


def test_census_never_writes_over_its_legend(mask):
    legend = mask.with_name("l.yaml")
    legend.write_text("name: l\nclasses:\n- {name: n, colours: [[5, 208, 4]]}\n- {name: o, colours: [[255, 51, 0]]}\n")
    result = run("census", mask, "--legend", legend, "-o", legend, "--overwrite")
    assert "would replace what it is made from" in refused(result)


@pytest.mark.parametrize("options", [(), ("--overwrite",)])
def test_an_output_that_is_a_folder_is_refused_before_the_work(mask, options):
    folder = mask.with_name("out.geojson")
    folder.mkdir()
    for arguments in (("census", mask, "-o", folder), ("convert", mask, folder, "--legend", "ivygap")):
        result = run(*arguments, *options)
        assert refused(result) == f"{folder}: is a folder; name a file"
        assert not result.output


def test_convert_never_writes_over_what_it_reads(mask):
    result = run("convert", mask, mask, "--legend", "ivygap", "--overwrite")
    assert "would replace what it is made from" in refused(result)


@pytest.mark.parametrize("name", ["a.geojson", "a.json"])
def test_convert_says_how_many_regions_of_which_class_it_wrote(mask, name):
    result = run("convert", mask, mask.with_name(name), "--legend", "ivygap")
    assert result.output.splitlines() == [
        f"note: {1200 - 2 * 36 - 60} px transparent, without a class",
        f"3 regions (CT 2, CTmvp 1) written to {mask.with_name(name)}",
    ]


def test_convert_into_a_mask_says_what_was_drawn(tmp_path):
    drawn = save(tmp_path / "d.json", labelme([{"label": "LE", "points": SQUARE}]))
    result = run("convert", drawn, tmp_path / "d.png", "--legend", "ivygap")
    assert result.output == f"1 region (LE 1) written to {tmp_path / 'd.png'}\n"
    result = run("convert", tmp_path / "d.png", tmp_path / "e.png", "--legend", "ivygap")
    assert result.output.splitlines()[-1] == f"wrote {tmp_path / 'e.png'}"


def test_an_annotation_of_nothing_is_said_to_be_so(tmp_path):
    Image.new("RGBA", (40, 30)).save(tmp_path / "m.png")
    result = run("convert", tmp_path / "m.png", tmp_path / "m.geojson", "--legend", "ivygap")
    assert "note: 1200 px transparent" in result.output
    assert result.output.splitlines()[-1] == f"no region written to {tmp_path / 'm.geojson'}"
    empty = save(tmp_path / "e.geojson", {"type": "FeatureCollection", "features": []})
    assert run("convert", empty, tmp_path / "e.json").output.startswith("no region written")


@pytest.mark.parametrize("cross", "xX×")
def test_a_size_is_written_with_any_cross(tmp_path, cross):
    drawn = save(tmp_path / "d.geojson", feature([SQUARE], classification="LE"))
    result = run("convert", drawn, tmp_path / "d.png", "--legend", "ivygap", "--size", f"100{cross}80")
    assert result.exit_code == 0
    assert Image.open(tmp_path / "d.png").size == (100, 80)
