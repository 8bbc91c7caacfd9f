"""Coarse to fine: what is looked at closely has the full pass's probabilities, and it is just what had to be."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.errors import DataError, ModelError
from hviskd.models import Compute
from hviskd.models.coarse_to_fine import CoarseToFineRecord
from hviskd.models.compute import LateEngine
from hviskd.progress import silent
from hviskd.running import Part
from hviskd.segmentation import (
    MapSettings,
    collect_parts,
    live_file,
    load_slide_map,
    plan_cohort,
    read_summary,
    segment,
    segment_cohort,
)
from hviskd.segmentation.coarse_to_fine import to_look_at_closely
from hviskd.segmentation.live_file import live_states
from hviskd.segmentation.mapping_job import CLAIMS, MappingJob
from hviskd.segmentation.overview import _caption
from hviskd.slides import open_slide
from tests.segmentation.make import TILE_PX, tissue_on_glass, write_model, write_slide
from tests.segmentation.sameness import content_of

PLAIN = Compute("torch", threads=1, workers=1)
COARSE = MapSettings(coarse_to_fine=True, write=("table", "qupath"))
UNSURE_BELOW = 0.6


def record(unsure_below=UNSURE_BELOW):
    told = {"data": "tiles", "data_fingerprint": "0", "val_tiles": 100, "required": 0.99, "curve": ()}
    return CoarseToFineRecord(unsure_below=unsure_below, closely=0.2, agreement=0.99, **told)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "student", coarse_to_fine=record())


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """A slide whose next level has half the px, each the mean of four."""
    return write_slide(tmp_path_factory.mktemp("slides") / "section.svs")


@pytest.fixture(scope="module")
def mapped(model, slide):
    return segment(model, slide, settings=COARSE, compute=PLAIN, progress=silent)


def tiles_of(slide_map, path, tile_px, mpp):
    """Read the tiles of a map one by one."""
    with open_slide(path) as slide:
        places = zip(slide_map.x_px, slide_map.y_px, strict=True)
        return np.stack([slide.read(x, y, tile_px, tile_px, mpp) for x, y in places])


@pytest.mark.parametrize("seed", range(3))
def test_a_tile_is_left_open_where_it_is_unsure_or_beside_another_class(seed):
    rng = np.random.default_rng(seed)
    row, column = np.nonzero(rng.random((9, 12)) < 0.7)
    row, column = row + 1000, column + 7
    shares = rng.dirichlet([0.2] * 3, len(row)).astype(np.float32)
    shares[:, 0] += 1.5 * (rng.random(len(row)) < 0.8)  # large areas of one class
    shares /= shares.sum(axis=1, keepdims=True)
    classes = {(r, c): share.argmax() for r, c, share in zip(row, column, shares, strict=True)}
    expected = []
    for (r, c), share in zip(classes, shares, strict=True):
        beside = [(r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)]
        expected.append(
            share.max() < 0.8 or any(classes.get(place, share.argmax()) != share.argmax() for place in beside)
        )
    assert 0 < sum(expected) < len(expected)
    assert to_look_at_closely(row, column, shares, 0.8).tolist() == expected


def test_a_slide_without_tiles_leaves_nothing_open():
    assert to_look_at_closely(*np.zeros((2, 0), np.int64), np.zeros((0, 3), np.float32), 0.8).shape == (0,)


@pytest.mark.slow
def test_tiles_have_the_probabilities_of_the_pass_that_saw_them_last(model, slide, mapped):
    whole = segment(model, slide, compute=PLAIN, progress=silent)
    np.testing.assert_array_equal([mapped.row, mapped.column], [whole.row, whole.column])
    first = model.at_low_power().predict(tiles_of(whole, slide, TILE_PX // 2, 1.0), device="cpu")
    closely = to_look_at_closely(whole.row, whole.column, first, UNSURE_BELOW)
    assert 0 < closely.sum() < len(closely)
    np.testing.assert_array_equal(mapped.looked_closely, closely)
    np.testing.assert_allclose(mapped.probabilities[closely], whole.probabilities[closely], atol=1e-4)
    np.testing.assert_allclose(mapped.probabilities[~closely], first[~closely], atol=1e-4)
    assert whole.looked_closely is whole.card.first_pass is None


@pytest.mark.slow
def test_without_a_coarser_level_the_px_of_the_full_pass_are_averaged(model, slide, mapped, tmp_path):
    single = write_slide(tmp_path / "single.svs", levels=1)
    found = segment(model, single, settings=COARSE, compute=PLAIN, progress=silent)
    four = tiles_of(found, single, TILE_PX, 0.5).reshape(-1, TILE_PX // 2, 2, TILE_PX // 2, 2, 3).astype(int)
    means = (four.sum(axis=(2, 4)) + 2) // 4
    first = model.at_low_power().predict(means.astype(np.uint8), device="cpu")
    left = ~found.looked_closely
    np.testing.assert_allclose(found.probabilities[left], first[left], atol=1e-4)
    np.testing.assert_array_equal(found.looked_closely, mapped.looked_closely)  # whose slide has these means as a level


@pytest.mark.slow
def test_of_a_finer_slide_both_powers_show_the_same_field(model, tmp_path):
    fine = write_slide(tmp_path / "fine.svs", tissue_on_glass().repeat(2, axis=0).repeat(2, axis=1), mpp=0.25)
    found = segment(model, fine, settings=COARSE, compute=PLAIN, progress=silent)
    first = model.at_low_power().predict(tiles_of(found, fine, TILE_PX // 2, 1.0), device="cpu")
    left = ~found.looked_closely
    np.testing.assert_allclose(found.probabilities[left], first[left], atol=1e-4)


@pytest.mark.slow
def test_where_the_first_pass_is_sure_the_other_engine_is_never_opened(slide, tmp_path, monkeypatch):
    sure = write_model(tmp_path / "sure", coarse_to_fine=record(0.0))
    opened, start = [], LateEngine.start
    monkeypatch.setattr(LateEngine, "start", lambda engine: (opened.append(engine._low_power), start(engine)))
    monkeypatch.setattr("hviskd.segmentation.segmenting.to_look_at_closely", lambda row, *_: np.zeros(len(row), bool))
    found = segment(sure, slide, settings=COARSE, compute=PLAIN, progress=silent)
    assert set(opened) == {True}
    assert not found.looked_closely.any()


@pytest.mark.slow
def test_map_table_and_qupath_say_which_tiles_were_looked_at_closely(model, slide, mapped, tmp_path):
    (outcome,) = segment_cohort(model, [slide], tmp_path, settings=COARSE, compute=PLAIN, progress=silent)
    first_pass = read_summary(outcome.folder).map.first_pass
    assert first_pass == mapped.card.first_pass
    assert (first_pass.tile_px, first_pass.mpp, first_pass.unsure_below) == (TILE_PX // 2, 1.0, UNSURE_BELOW)
    assert first_pass.closely == mapped.looked_closely.sum()
    np.testing.assert_array_equal(load_slide_map(outcome.folder).looked_closely, mapped.looked_closely)
    table = pd.read_parquet(outcome.folder / "tiles.parquet")
    np.testing.assert_array_equal(table["looked_closely"], mapped.looked_closely)
    pd.testing.assert_frame_equal(table, mapped.to_dataframe(), check_exact=False)
    features = json.loads((outcome.folder / "section.geojson").read_text())["features"]
    tiles = [each["properties"]["measurements"] for each in features if each["properties"]["objectType"] == "tile"]
    assert [tile["looked_closely"] for tile in tiles] == mapped.looked_closely.astype(int).tolist()
    told = " ".join(_caption(mapped, None, 9.0))
    assert f"Looked at closely: {first_pass.closely:,} of {len(mapped):,} tiles; the others at 1 µm/px." in told


@pytest.mark.slow
def test_a_map_whose_card_and_tiles_differ_is_refused(mapped):
    other = mapped.card.model_copy(update={"first_pass": None})
    with pytest.raises(ValueError, match="differ on whether there was a first pass"):
        replace(mapped, card=other)
    with pytest.raises(ValueError, match=r"the card says that \d+ tiles were looked at closely"):
        replace(mapped, looked_closely=~mapped.looked_closely)


@pytest.mark.slow
def test_a_map_of_one_kind_does_not_pass_for_the_other(model, slide, tmp_path):
    def states(settings):
        done = segment_cohort(model, [slide], tmp_path / "maps", settings=settings, compute=PLAIN, progress=silent)
        return [outcome.state for outcome in done]

    plain = replace(COARSE, coarse_to_fine=False)
    assert [*states(plain), *states(COARSE), *states(COARSE), *states(plain)] == ["done", "done", "kept", "done"]
    assert load_slide_map(tmp_path / "maps" / "section").looked_closely is None


@pytest.mark.slow
def test_parts_give_what_one_call_gives(model, slide, tmp_path):
    slides = [slide, write_slide(tmp_path / "other.svs", tissue_on_glass(600, 400))]
    asked = {"settings": COARSE, "compute": PLAIN}
    segment_cohort(model, slides, tmp_path / "whole", **asked, progress=silent)
    for number in (1, 2):
        segment_cohort(model, slides, tmp_path / "parts", **asked, running=Part(number, 2), progress=silent)
    assert not collect_parts(model, slides, tmp_path / "parts", **asked).failed
    assert content_of(tmp_path / "parts", "section", "other") == content_of(tmp_path / "whole", "section", "other")


@pytest.mark.slow
def test_whoever_looks_on_sees_each_tile_counted_once(model, slide, mapped, tmp_path, monkeypatch):
    monkeypatch.setattr(live_file, "_EVERY_S", 0.0)
    monkeypatch.setattr(live_file, "_REST", 0.0)
    maps, seen = tmp_path / "maps", []

    def look(*_):
        seen.extend(state.now for state in live_states(maps, maps / CLAIMS))

    segment_cohort(model, [slide], maps, settings=COARSE, compute=replace(PLAIN, batch_size=16), progress=look)
    assert [now.done for now in seen] == sorted(now.done for now in seen)
    assert {now.tiles for now in seen} == {len(mapped)}
    assert seen[-1].done == len(mapped)
    np.testing.assert_array_equal(seen[-1].grid(), mapped.class_grid())


@pytest.mark.slow
def test_a_plan_counts_both_passes(model, slide, mapped):
    plan = plan_cohort(model, [slide], settings=COARSE, compute=PLAIN, minutes=1e-9, progress=silent)
    assert [(each.tiles, each.classified) for each in plan.sample] == [(len(mapped), len(mapped))]
    assert plan.engine == "torch, float32 on cpu"


def test_a_model_that_was_not_calibrated_for_it_is_refused(slide, tmp_path):
    write_model(tmp_path / "plain")
    words = ["segment", str(slide), "-m", str(tmp_path / "plain"), "-o", str(tmp_path / "maps"), "--coarse-to-fine"]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    assert refused.stderr == (
        "error: plain: has no threshold for a first pass at low power; train it with `low_power=0.5` in the recipe, "
        "on tiles with a validation split, or omit --coarse-to-fine\n"
    )
    with pytest.raises(ModelError, match="omit `coarse_to_fine=True`"):
        segment(tmp_path / "plain", slide, settings=COARSE)


def test_int8_is_refused_and_never_chosen(model, tmp_path):
    def job(precision, card=model.card):
        return MappingJob(model, card, COARSE, Compute(precision=precision), tmp_path, overwrite=False, claiming=False)

    with pytest.raises(DataError, match="`precision='int8'`: omit it"):
        job("int8")
    quantized = model.card.model_copy(update={"int8": "present"})
    assert job("auto", quantized).engines.compute.precision == "float32"
    assert job("auto").engines.compute.precision == "auto"


@pytest.mark.slow
def test_the_command_tells_how_many_tiles_were_looked_at_closely(model, slide, mapped, tmp_path):
    words = ["segment", str(slide), "-m", str(model.folder), "-o", str(tmp_path / "maps"), "--coarse-to-fine"]
    done = CliRunner().invoke(app, [*words, "--write", "table", "--engine", "torch", "--threads", "1", "--json"])
    assert done.exit_code == 0, done.output
    closely = mapped.card.first_pass.closely
    assert json.loads(done.stdout)["slides"][0]["looked_closely"] == closely
    assert f", {closely:,} of them looked at closely: " in done.stderr
