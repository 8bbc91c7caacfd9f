"""The verb `segment`, run as a user runs it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.segmentation import load_slide_map
from tests.segmentation.make import tissue_on_glass, write_model, write_slide

pytestmark = pytest.mark.usefixtures("unpainted")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    write_model(folder / "student")
    write_model(folder / "unscaled", mpp=None)
    write_slide(folder / "slides" / "good.svs", tissue_on_glass(500, 400))
    (folder / "slides" / "bad.svs").write_text("no slide")
    return folder


def run(folder, *arguments, model="student"):
    given = ["segment", *map(str, arguments), "-m", str(folder / model), "--engine", "torch", "--threads", "1"]
    return CliRunner().invoke(app, given)


@pytest.mark.slow
def test_it_says_what_it_does_what_it_took_and_what_it_wrote(folder):
    result = run(folder, folder / "slides" / "good.svs", "-o", folder / "maps")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "student: 3 classes, tiles of 64 px at 0.5 µm/px; 1 slide"
    count = len(load_slide_map(folder / "maps" / "good"))
    assert any(line.startswith("good.svs: ") and f"{count} tiles at " in line for line in lines)
    for stage in ("opening slides", "detecting tissue", "waiting for tiles", "classifying", "writing maps"):
        assert any(line.strip().startswith(stage) for line in lines)
    assert lines[-2:] == ["1 of 1 slides mapped", f"wrote {folder / 'maps'}"]


@pytest.mark.slow
def test_a_slide_that_fails_is_named_and_the_exit_status_is_1(folder):
    result = run(folder, folder / "slides", "-o", folder / "some", "--json")
    assert result.exit_code == 1
    told = {Path(each["slide"]).name: each for each in json.loads(result.stdout)["slides"]}
    assert told["good.svs"]["tiles"] == len(load_slide_map(folder / "some" / "good"))
    assert (told["bad.svs"]["state"], told["good.svs"]["state"]) == ("failed", "done")
    assert told["bad.svs"]["problem"] in result.stderr
    assert "error: " in result.output
    assert "bad.svs: damaged or not a slide" in result.output
    assert "1 of 2 slides mapped" in result.output
    assert len(load_slide_map(folder / "some" / "good"))


@pytest.mark.slow
def test_slides_read_at_their_own_scale_are_told_in_one_line(folder, tmp_path):
    for name, mpp in (("A", 0.499), ("B", 0.5012)):
        write_slide(tmp_path / "slides" / f"{name}.svs", tissue_on_glass(500, 400), mpp=mpp)
    result = run(folder, tmp_path / "slides", "-o", tmp_path / "maps")
    told = [line for line in result.output.splitlines() if "not resampled" in line]
    assert told == ["note: 2 slides were read at their own 0.499 to 0.5012 µm/px, not resampled to 0.5 µm/px"]


@pytest.mark.slow
def test_ink_is_told_with_its_area_and_kept_on_request(folder, tmp_path):
    image = np.pad(tissue_on_glass(500, 400), ((0, 400), (0, 0), (0, 0)), constant_values=240)
    image[550:750, 100:400] = 30, 60, 165  # 0.015 mm² at 0.5 µm/px
    image = image.repeat(2, axis=0).repeat(2, axis=1)  # 0.06 mm²
    path = write_slide(tmp_path / "inked.svs", image)
    result = run(folder, path, "-o", tmp_path / "maps")
    assert "note: inked.svs: 0." in result.output
    assert "mm² excluded as marker ink; if that is tissue, --keep-ink keeps it" in result.output
    summary = json.loads((tmp_path / "maps" / "inked" / "summary.json").read_text())
    assert 60_000 < summary["map"]["ink_area_um2"] < 350 * 250 * 1.15  # its blurred edge and 25 µm round it
    kept = run(folder, path, "-o", tmp_path / "kept", "--keep-ink")
    assert "marker ink" not in kept.output
    assert load_slide_map(tmp_path / "kept" / "inked").card.ink_area_um2 == 0


@pytest.mark.parametrize(
    ("options", "model", "message"),
    [
        ([], "unscaled", "unscaled: its card does not record the µm/px of its tiles; give it with --mpp"),
        ([], "nothing", "not a Model"),
        (["--stride", "1"], "student", "--stride 1: must be from 16 to 64"),
        (["--mpp", "0.25"], "student", "omit --mpp 0.25"),
        (["--precision", "int8"], "student", "has no int8 variant"),
        (["elsewhere.svs"], "student", "elsewhere.svs: no such file"),
    ],
)
def test_a_mistake_is_one_line_and_exit_status_2(folder, tmp_path, options, model, message):
    command = ["segment", folder / "slides" / "good.svs", "-m", folder / model, "-o", tmp_path / "maps", *options]
    done = CliRunner().invoke(app, [str(word) for word in command])
    assert done.exit_code == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.glob("maps/*/summary.json"))


@pytest.mark.slow
def test_what_is_found_beside_the_slides_and_not_mapped_is_told(folder, tmp_path):
    slide = shutil.copy(folder / "slides" / "good.svs", tmp_path / "good.svs")
    (tmp_path / "other.isyntax").touch()
    (tmp_path / "same.svs").symlink_to(slide)
    result = run(folder, tmp_path, "-o", folder / "beside")
    assert result.exit_code == 0, result.output
    assert result.output.count("note: left out, since Philips iSyntax is not read: other.isyntax; export") == 1
    assert result.output.count("same.svs leads to the same file as") == 1
    assert "1 of 1 slides mapped" in result.output
