"""The verbs of `hviskd annotations`, run as a user runs them."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hviskd.annotations import read_annotation
from hviskd.cli.annotations import annotations_app
from hviskd.errors import DataError

from .make import SQUARE, labelme, save


def run(*arguments):
    return CliRunner().invoke(annotations_app, [str(argument) for argument in arguments], catch_exceptions=True)


@pytest.fixture
def folder(tmp_path):
    pixels = np.full((30, 40, 3), (5, 208, 4), dtype=np.uint8)
    pixels[:3] = (128, 0, 128)
    Image.fromarray(pixels).save(tmp_path / "a_L.png")
    return tmp_path


def test_census_shows_colours_classes_and_what_is_beyond_the_tolerance(folder):
    result = run("census", folder, "-o", folder / "c.csv")
    assert result.exit_code == 0
    (green,) = [line.split() for line in result.output.splitlines() if "#05D004" in line]
    assert green[2:] == ["1080", "90.000%", "CT", "0.0"]
    (purple,) = [line for line in result.output.splitlines() if "#800080" in line]
    assert "beyond the tolerance" in purple
    assert f"wrote 2 colours to {folder / 'c.csv'}" in result.output.replace("\n", "")
    assert (folder / "c.csv").is_file()


def test_census_counts_the_good_masks_and_ends_with_1_for_a_bad_one(folder):
    (folder / "bad_L.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = run("census", folder)
    assert result.exit_code == 1
    assert "1 of 2 masks, 1200 px" in result.output
    assert "bad_L.png" in result.stderr


def test_convert_writes_what_the_suffix_says_and_tells_what_was_left_out(folder):
    drawn = save(folder / "d.json", labelme([{"label": k, "points": SQUARE} for k in ("LE", "fold")]))
    result = run("convert", drawn, folder / "d.geojson", "--legend", "ivygap")
    assert result.exit_code == 0
    assert "note: 1 regions labelled 'fold'" in result.output
    assert len(json.loads((folder / "d.geojson").read_text())["features"]) == 1
    result = run("convert", folder / "d.geojson", folder / "d.png", "--legend", "ivygap", "--size", "100x80")
    assert result.exit_code == 0
    assert Image.open(folder / "d.png").size == (100, 80)
    assert read_annotation(folder / "d.geojson").classes == ("LE",)


@pytest.mark.parametrize("size", ["100", "0x5", "axb", "100x80x3", "1e3x5"])
def test_a_size_that_is_none_is_a_usage_error(folder, size):
    result = run("convert", folder / "a_L.png", folder / "b.geojson", "--legend", "ivygap", "--size", size)
    assert result.exit_code == 2
    assert "20000x15000" in result.stderr


def test_a_mistake_reaches_the_top_as_one_line(folder):
    result = run("convert", folder / "a_L.png", folder / "b.geojson")
    assert isinstance(result.exception, DataError)
    assert "legend" in str(result.exception)


def test_nothing_is_replaced_unasked(folder):
    drawn = save(folder / "d.json", labelme([{"label": "LE", "points": SQUARE}]))
    (folder / "mine.geojson").write_text("my own work")
    refused = run("convert", drawn, folder / "mine.geojson")
    assert isinstance(refused.exception, DataError)
    assert "pass `overwrite=True`" in str(refused.exception)
    assert (folder / "mine.geojson").read_text() == "my own work"
    assert run("convert", drawn, folder / "mine.geojson", "--overwrite").exit_code == 0
    assert read_annotation(folder / "mine.geojson").classes == ("LE",)


@pytest.mark.parametrize("px", ["inf", "nan"])
def test_a_cell_has_a_size(folder, px):
    arguments = ("--legend", "ivygap", "--size", "40x30", "--px-per-cell", px)
    result = run("convert", folder / "a_L.png", folder / "b.geojson", *arguments)
    assert result.exit_code == 2
    assert "--px-per-cell" in result.stderr


@pytest.mark.parametrize("pattern", ["", "/etc/*", "**x/[", "*.svs"])
def test_a_pattern_that_names_no_mask_is_said(folder, pattern):
    result = run("census", folder, "--pattern", pattern)
    assert isinstance(result.exception, DataError)
