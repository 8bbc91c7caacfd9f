"""Tiles, Model and maps agree on ICC profiles: what the tiles were converted by goes with the Model to every slide."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.cutting import CutSettings, cut_slides, read_report
from hviskd.file_names import qc_folder
from hviskd.models import Compute, load_model
from hviskd.segmentation import MapSettings, segment
from hviskd.segmentation.outputs import read_summary
from hviskd.segmentation.preparing import prepare_slide
from hviskd.segmentation.settings import Request
from hviskd.tiles import TileSet, split_tiles
from hviskd.training import load_recipe, train
from tests.cutting.samples import add_slide, halves, write_legend
from tests.segmentation.make import tissue_on_glass, write_model, write_slide
from tests.slides.profiles import ADOBE_RGB, PROPHOTO_RGB
from tests.slides.test_icc import in_srgb

PLAIN = Compute("torch", threads=1, workers=1)
pytestmark = pytest.mark.slow
PROFILES = {"P1-a": ADOBE_RGB, "P2-a": PROPHOTO_RGB, "P3-a": None}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Give a folder with three annotated slides, of two profiles and of none, and their pixels as stored, by name."""
    folder = tmp_path_factory.mktemp("cohort")
    legend = write_legend(folder)
    legend.write_text("\n".join(line for line in legend.read_text().splitlines() if "BG" not in line))
    return folder, {name: add_slide(folder, name, halves(), icc=profile) for name, profile in PROFILES.items()}


@pytest.fixture(scope="module")
def tiles(cohort):
    folder, _ = cohort
    settings = CutSettings(tile_px=64, min_tissue=0.3, icc=True)
    return cut_slides(
        folder, folder / "tiles", annotations=folder / "masks", legend=folder / "legend.yaml", settings=settings
    )


def test_tiles_are_those_of_an_independent_conversion(cohort, tiles):
    folder, stored = cohort
    assert tiles.card.icc
    assert set(tiles.table["slide"]) == set(PROFILES)
    for name, profile in PROFILES.items():
        whole = stored[name] if profile is None else in_srgb(stored[name], profile)
        rows = np.flatnonzero(tiles.table["slide"] == name)
        for row in rows.tolist():
            x, y = (int(tiles.table[side].iloc[row]) for side in ("x_px", "y_px"))
            assert (tiles.pixels[row] == whole[y : y + 64, x : x + 64]).all()
    notes = {slide.slide: slide.notes for slide in read_report(qc_folder(folder / "tiles")).slides}
    assert [name for name, said in notes.items() if "no ICC colour profile: pixels are read as stored" in said] == [
        "P3-a"
    ]


def test_a_slide_is_read_for_mapping_as_it_was_for_training(cohort, tiles, tmp_path):
    folder, _ = cohort
    card = write_model(tmp_path / "model", icc=True).card
    for name in PROFILES:
        prepared = prepare_slide(folder / f"{name}.svs", Request.of(card, MapSettings(min_tissue=0.3)))
        with prepared.slide:
            seen = {}
            for places, batch in prepared.batches(16, 2):
                corners = zip(prepared.x_px[places].tolist(), prepared.y_px[places].tolist(), strict=True)
                seen |= dict(zip(corners, batch, strict=True))
        rows = np.flatnonzero(tiles.table["slide"] == name).tolist()
        assert len(rows) > 10
        for row in rows:
            corner = int(tiles.table["x_px"].iloc[row]), int(tiles.table["y_px"].iloc[row])
            assert (seen[corner] == tiles.pixels[row]).all()


@pytest.mark.usefixtures("without_curves")
def test_the_model_trained_on_them_says_so_and_maps_by_it_do_the_same(tiles, cohort, tmp_path):
    tileset = split_tiles(TileSet.open(shutil.copytree(tiles.folder, tmp_path / "tiles")), by="slide", val=0.4)
    changes = {"network": "resnet8", "epochs": 1, "batch_size": 16}
    run = train(load_recipe(None, changes, role="teacher"), tileset, tmp_path / "run")
    assert load_model(run.folder).card.icc
    assert segment(run, cohort[0] / "P1-a.svs", compute=PLAIN).card.icc


def test_maps_say_whether_their_pixels_were_converted(tmp_path):
    image = tissue_on_glass(500, 400)
    with_one = write_slide(tmp_path / "with.svs", image, icc=ADOBE_RGB)
    without = write_slide(tmp_path / "without.svs", image)
    trained, plain = write_model(tmp_path / "trained", icc=True), write_model(tmp_path / "plain")
    unlike = "unlike for the model's training tiles"
    for model, slide, icc, converted, said in (
        (trained, with_one, None, True, ""),
        (trained, with_one, False, False, f"ICC colour profile not applied, {unlike}"),
        (trained, without, None, False, "no ICC colour profile: pixels are read as stored"),
        (plain, with_one, None, False, ""),
        (plain, with_one, True, True, f"ICC colour profile applied, {unlike}"),
    ):
        card = segment(model, slide, settings=MapSettings(icc=icc), compute=PLAIN).card
        assert card.icc == converted
        assert [note for note in card.notes if "ICC" in note] == ([said] if said else [])
    maps = [segment(trained, with_one, settings=MapSettings(icc=icc), compute=PLAIN) for icc in (True, False)]
    assert (maps[0].probabilities != maps[1].probabilities[: len(maps[0])]).any()


@pytest.mark.usefixtures("empty_overviews")
def test_the_command_counts_slides_without_a_profile_and_repeats_those_of_the_other_choice(tmp_path):
    write_slide(tmp_path / "slides" / "with.svs", tissue_on_glass(500, 400), icc=ADOBE_RGB)
    write_slide(tmp_path / "slides" / "without.svs", tissue_on_glass(500, 400))
    model = write_model(tmp_path / "model", icc=True)
    given = ["segment", str(tmp_path / "slides"), "-m", str(model.folder), "-o", str(tmp_path / "maps")]
    given += ["--engine", "torch"]
    first = CliRunner().invoke(app, given)
    assert first.exit_code == 0, first.output
    assert "note: 1 of 2 slides have no usable ICC colour profile; read as stored" in first.output
    assert read_summary(tmp_path / "maps" / "with").map.icc
    assert CliRunner().invoke(app, given).output.count("already done") == 2
    other = CliRunner().invoke(app, [*given, "--no-icc"])
    assert "already done" not in other.output
    assert "usable ICC" not in other.output
    assert not read_summary(tmp_path / "maps" / "with").map.icc


def test_tiles_models_and_maps_of_before_were_not_converted_and_are_read(tiles, tmp_path):
    folder = shutil.copytree(tiles.folder, tmp_path / "tiles")
    model = write_model(tmp_path / "model").folder
    for path in (folder / "tileset.json", model / "model.json"):
        card = json.loads(path.read_text())
        del card["icc"]
        path.write_text(json.dumps(card))
    assert not TileSet.open(folder).card.icc
    assert not load_model(model).card.icc
