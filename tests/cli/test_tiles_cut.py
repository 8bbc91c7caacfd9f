"""The verb `tiles cut`, run as a user runs it."""

import numpy as np
import pytest
import typer
from PIL import Image, ImageCms
from typer.testing import CliRunner

from hviskd.cli.app import app as hviskd
from hviskd.cli.tiles_cut import cut
from hviskd.cutting import read_report
from hviskd.errors import DataError
from hviskd.file_names import qc_folder
from hviskd.slides import stain_reference
from hviskd.tiles import TileSet
from tests.cutting.samples import RED, UNKNOWN, add_slide, halves, write_legend

pytestmark = pytest.mark.usefixtures("unpainted")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    write_legend(folder)
    add_slide(folder, "P1-a", halves())
    add_slide(folder, "P2-a", np.full((256, 256), RED), seed=1)
    return folder


def run(folder, *arguments):
    app = typer.Typer()
    app.command()(cut)
    common = ["--masks", str(folder / "masks"), "--legend", str(folder / "legend.yaml"), "--tissue", "0.3"]
    return CliRunner().invoke(app, [*arguments, *common, "--tile-px", "64", "--patients", "ivygap"])


@pytest.mark.slow
def test_it_says_what_was_cut_left_out_and_written(folder):
    result = run(folder, str(folder), "-o", str(folder / "tiles"), "--cap", "20")
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line.split()[1:] for line in result.output.splitlines() if line.strip()}
    assert lines["red"] == ["20", "2", "2", "26"]
    assert lines["green"] == ["20", "1", "1", "10"]
    assert lines["P1"] == ["10", "20", "0"]
    assert lines["P2"] == ["10", "0", "0"]
    assert f"wrote {folder / 'tiles'}" in result.output
    assert len(TileSet.open(folder / "tiles")) == 40


@pytest.mark.slow
def test_what_many_slides_have_in_common_is_said_once(tmp_path):
    write_legend(tmp_path)
    for seed in range(5):
        add_slide(tmp_path, f"P{seed}-a", np.full((128, 128), RED if seed else UNKNOWN), seed=seed)
        mask = np.asarray(Image.open(tmp_path / "masks" / f"P{seed}-a_L.png")).copy()
        mask[0, : seed + 1] = (0, 0, 100 + seed)
        mask[1, :1] = (200, 0, 0)
        Image.fromarray(mask).save(tmp_path / "masks" / f"P{seed}-a_L.png")
    result = run(tmp_path, str(tmp_path), "-o", str(tmp_path / "tiles"), "--purity", "0.9", "--tissue-area", "0")
    assert result.exit_code == 0, result.output
    assert result.output.count("colours without a class") == 2
    assert "… and 3 more of this kind in the report" in result.output
    assert "no tiles from 1 slide: P0-a" in result.output


@pytest.mark.slow
def test_it_takes_what_counts_as_tissue(folder):
    result = run(folder, str(folder), "-o", str(folder / "none"), "--tissue-area", "1e9")
    assert isinstance(result.exception, DataError)
    assert "too little tissue" in str(result.exception)


@pytest.mark.slow
def test_a_slide_that_fails_is_named_and_the_exit_status_is_1(folder):
    (folder / "bad").mkdir()
    (folder / "bad" / "P3-a.svs").write_text("no slide")
    result = run(folder, str(folder), str(folder / "bad"), "-o", str(folder / "rest"), "--cap", "0")
    assert result.exit_code == 1
    assert "error:" in result.output
    assert "P3-a.svs: has no mask" in result.output
    assert len(TileSet.open(folder / "rest")) == 76


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--annotations", "masks", "--masks", "masks"], "give one of --annotations, --masks and --outlines"),
        (["--masks", "masks", "--stain", "macenko"], "--stain and --stain-reference go together"),
        (["--masks", "masks", "--tissue", "2"], "--tissue 2.0: must be from 0 to 1"),
        (["--outlines", "masks"], "has no annotation in masks; name it P1-a.geojson"),
        (["--unlabelled"], "--unlabelled: takes no annotations and no --legend"),
    ],
)
def test_a_mistake_is_told_in_the_words_of_the_command_line(folder, options, said, monkeypatch):
    monkeypatch.chdir(folder)
    words = ["tiles", "cut", "P1-a.svs", "--legend", "legend.yaml", "-o", "wrong", *options]
    done = CliRunner().invoke(hviskd, words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert not (folder / "wrong").exists()


@pytest.mark.slow
def test_the_stain_of_a_reference_is_given_to_all_tiles(folder):
    words = ["--stain", "reinhard", "--stain-reference", str(folder / "P2-a.svs")]
    result = run(folder, str(folder / "P1-a.svs"), "-o", str(folder / "stained"), *words)
    assert result.exit_code == 0, result.output
    assert TileSet.open(folder / "stained").card.stain == stain_reference(folder / "P2-a.svs", method="reinhard")


@pytest.mark.slow
def test_masks_are_found_by_the_general_option_too(folder):
    app = typer.Typer()
    app.command()(cut)
    given = [str(folder / "P1-a.svs"), "-o", str(folder / "either"), "--annotations", str(folder / "masks")]
    given += ["--legend", str(folder / "legend.yaml"), "--tile-px", "64", "--tissue", "0.3"]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.output
    assert len(TileSet.open(folder / "either")) == 60


@pytest.mark.slow
def test_slides_of_different_colour_profiles_are_told(tmp_path):
    write_legend(tmp_path)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for seed, name in enumerate(("P1-a", "P2-a")):
        add_slide(tmp_path, name, halves(), seed, icc=profile if seed else None)
    result = run(tmp_path, str(tmp_path), "-o", str(tmp_path / "tiles"))
    assert result.exit_code == 0, result.output
    assert "note: the slides have different ICC colour profiles, which are not applied" in result.output
    assert "; --icc converts them to sRGB" in result.output
    icc = [slide.icc for slide in read_report(qc_folder(tmp_path / "tiles")).slides]
    assert icc[0] is None
    assert icc[1].startswith("sRGB")
    result = run(tmp_path, str(tmp_path), "-o", str(tmp_path / "converted"), "--icc")
    assert "note: 1 of 2 slides have no ICC colour profile; read as stored" in result.output
    assert TileSet.open(tmp_path / "converted").card.icc


@pytest.mark.slow
def test_what_is_found_beside_the_slides_and_not_cut_is_told_and_stays_in_the_report(tmp_path):
    write_legend(tmp_path)
    add_slide(tmp_path, "P1-a", halves())
    (tmp_path / "P2-a.vsi").touch()
    result = run(tmp_path, str(tmp_path), "-o", str(tmp_path / "tiles"))
    assert result.exit_code == 0, result.output
    advice = "export a pyramidal OME-TIFF with QuPath or Bio-Formats"
    note = f"left out, since Olympus/Evident VSI is not read: P2-a.vsi; {advice}"
    assert result.output.count(f"note: {note}") == 1
    assert read_report(qc_folder(tmp_path / "tiles")).passed_over == (note,)


def test_slides_without_annotations_are_cut_without_labels(folder):
    words = ["tiles", "cut", str(folder / "P1-a.svs"), "--unlabelled", "--cap", "3", "-o", str(folder / "more")]
    done = CliRunner().invoke(hviskd, [*words, "--tile-px", "64", "--tissue", "0.3"])
    assert done.exit_code == 0, done.output
    assert "3 tiles from 1 of 1 slides" in done.output
    assert len(TileSet.open(folder / "more")) == 3
    told = CliRunner().invoke(hviskd, ["tiles", "info", str(folder / "more")])
    assert told.exit_code == 0, told.output
    assert "all tiles" in told.output
    refused = CliRunner().invoke(hviskd, ["tiles", "split", str(folder / "more")])
    assert refused.exit_code == 2
    assert "needs labelled tiles, but these have no labels; such tiles can only join a distillation" in refused.stderr
    unclear = CliRunner().invoke(hviskd, ["tiles", "cut", str(folder / "P1-a.svs"), "-o", str(folder / "no")])
    assert unclear.exit_code == 2
    assert "give --legend, or pass --unlabelled" in unclear.stderr
