"""Segmenting one slide: the map is what the Model says of the tiles that anyone would cut there."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from hviskd.errors import DataError, ModelError
from hviskd.models import Compute
from hviskd.models.card import CalibrationRecord
from hviskd.segmentation import MapSettings, segment, write_geojson
from hviskd.slides import fit_slide_stain, open_slide, stain_reference, stain_transfer, tissue_mask
from tests.segmentation.make import CLASSES, TILE_PX, tissue_on_glass, write_model, write_slide
from tests.slides.make import glass, stained

PLAIN = Compute("torch", threads=1, workers=2)
EVERYWHERE = MapSettings(min_tissue=0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "student")


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return write_slide(tmp_path_factory.mktemp("slides") / "section.svs")


def plain_loop(model, path, step_px, side_px, mpp=0.5, change=None):
    """Read every square with half its area tissue, one by one, and classify it."""
    with open_slide(path) as slide:
        tissue = tissue_mask(slide)
        places, tiles = [], []
        for y in np.arange(0, slide.size[1] - side_px + 1e-6, step_px):
            for x in np.arange(0, slide.size[0] - side_px + 1e-6, step_px):
                left, top = math.floor(x + 0.5), math.floor(y + 0.5)
                if tissue.share(left, top, side_px) >= 0.5:
                    places.append((left, top))
                    tiles.append(slide.read(left, top, TILE_PX, TILE_PX, mpp))
    stack = np.stack(tiles)
    return places, model.predict(stack if change is None else change(stack), device="cpu")


@pytest.mark.slow
def test_the_map_is_what_a_plain_loop_over_the_tissue_gives(model, slide):
    found = segment(model, slide, compute=PLAIN)
    places, shares = plain_loop(model, slide, 64, 64)
    assert list(zip(found.x_px.tolist(), found.y_px.tolist(), strict=True)) == places
    np.testing.assert_allclose(found.probabilities, shares, atol=1e-4)
    assert len(set(found.class_index.tolist())) > 1
    assert min(found.x_px) >= 256  # the glass to the left was never classified


@pytest.mark.slow
def test_on_a_finer_slide_tiles_have_the_models_size_in_um(model, tmp_path):
    image = stained((700, 1100), 0.9, 0.7)
    path = write_slide(tmp_path / "fine.svs", image, mpp=0.2465)
    found = segment(model, path, compute=PLAIN)
    side_px = 64 * 0.5 / 0.2465
    places, shares = plain_loop(model, path, side_px, side_px)
    assert list(zip(found.x_px.tolist(), found.y_px.tolist(), strict=True)) == places
    np.testing.assert_allclose(found.probabilities, shares, atol=1e-4)
    assert found.tile_um == 32


@pytest.mark.slow
def test_a_slide_within_1_percent_of_the_models_mpp_is_read_as_it_is(model, tmp_path):
    image = tissue_on_glass()
    near, own, far = (
        segment(model, write_slide(tmp_path / f"{mpp}.svs", image, mpp=mpp), settings=EVERYWHERE, compute=PLAIN)
        for mpp in (0.4965, 0.5, 0.494)
    )
    assert near.card.mpp == near.card.slide_mpp == 0.4965
    assert near.tile0_px == TILE_PX
    assert "read at its own 0.4965 µm/px, not resampled to 0.5 µm/px" in near.card.notes
    np.testing.assert_array_equal(near.x_px, own.x_px)
    np.testing.assert_array_equal(near.probabilities, own.probabilities)
    assert (own.card.mpp, far.card.mpp) == (0.5, 0.5)
    assert far.tile0_px == pytest.approx(TILE_PX * 0.5 / 0.494)
    assert not [note for each in (own, far) for note in each.card.notes if "resampled" in note]


@pytest.mark.slow
def test_a_coarser_level_within_1_percent_is_read_as_it_is(model, tmp_path):
    image = np.repeat(np.repeat(tissue_on_glass(500, 400), 4, axis=0), 4, axis=1)
    path = write_slide(tmp_path / "fine.svs", image, mpp=0.126)
    with open_slide(path) as slide:
        downsamples = [level.downsample for level in slide.levels]
    assert 4 in downsamples
    assert segment(model, path, compute=PLAIN).card.mpp == pytest.approx(0.504)


@pytest.mark.slow
def test_tiles_overlap_at_a_smaller_stride(model, slide):
    found = segment(model, slide, settings=MapSettings(stride_px=24), compute=PLAIN)
    places, shares = plain_loop(model, slide, 24, 64)
    assert list(zip(found.x_px.tolist(), found.y_px.tolist(), strict=True)) == places
    np.testing.assert_allclose(found.probabilities, shares, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("speed", [{"batch_size": 1}, {"batch_size": 7, "workers": 1}, {"batch_size": 1000}])
def test_batches_and_threads_change_nothing(model, slide, speed):
    expected = segment(model, slide, compute=PLAIN)
    found = segment(model, slide, compute=replace(PLAIN, **speed))
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)


@pytest.mark.slow
def test_the_card_says_what_made_the_map_and_no_path(model, slide):
    card = segment(model.folder, str(slide), compute=PLAIN).card
    assert (card.slide, card.slide_width_px, card.slide_height_px, card.slide_mpp) == ("section.svs", 1000, 700, 0.5)
    assert (card.model, card.model_fingerprint, card.classes) == ("student", model.fingerprint, CLASSES)
    assert card.engine.startswith("torch ")
    assert card.tissue_area_um2 == pytest.approx(700 * 700 * 0.25, rel=0.05)
    assert str(slide.parent) not in card.model_dump_json()


def test_a_slide_without_tissue_gives_an_empty_map(model, tmp_path):
    path = write_slide(tmp_path / "glass.svs", glass((600, 800)))
    found = segment(model, path, compute=PLAIN)
    assert len(found) == 0
    assert found.grid_shape == (9, 12)
    assert len(found.card.notes) == 1
    assert found.card.notes[0].startswith("no tissue was found")


@pytest.mark.slow
def test_all_of_the_slide_can_be_asked_for(model, slide):
    found = segment(model, slide, settings=MapSettings(min_tissue=0), compute=PLAIN)
    assert len(found) == found.grid_shape[0] * found.grid_shape[1]


@pytest.mark.slow
def test_a_model_that_learned_from_changed_stain_sees_changed_stain(slide, tmp_path):
    reference_slide = write_slide(tmp_path / "reference.svs", tissue_on_glass(seed=9), mpp=0.5)
    reference = stain_reference(reference_slide)
    model = write_model(tmp_path / "model", stain=reference)
    found = segment(model, slide, compute=PLAIN)
    with open_slide(slide) as opened:
        source = fit_slide_stain(opened, tissue_mask(opened), mpp=0.5)
    _, shares = plain_loop(model, slide, 64, 64, change=stain_transfer(source, reference))
    np.testing.assert_allclose(found.probabilities, shares, atol=1e-4)
    assert np.abs(found.probabilities - plain_loop(model, slide, 64, 64)[1]).max() > 0.01
    assert found.card.stain == "macenko"


@pytest.mark.slow
def test_a_stain_that_cannot_be_fitted_is_left_and_told(tmp_path):
    model = write_model(tmp_path / "model", stain=stain_reference(write_slide(tmp_path / "reference.svs")))
    image = glass((400, 500))
    image[:, 100:] = (200, 120, 160)  # one colour only
    found = segment(model, write_slide(tmp_path / "flat.svs", image), compute=PLAIN)
    assert found.card.stain == "none"
    assert "stain not normalised" in found.card.notes[0]


def test_a_model_without_mpp_needs_it_from_the_user(slide, tmp_path):
    model = write_model(tmp_path / "model", mpp=None)
    with pytest.raises(ModelError, match="does not record the µm/px of its tiles; give it with `mpp`"):
        segment(model, slide, compute=PLAIN)
    assert segment(model, slide, settings=MapSettings(mpp=1.0), compute=PLAIN).card.mpp == 1.0


def test_the_models_own_mpp_cannot_be_overruled(model, slide):
    with pytest.raises(ModelError, match=r"was trained at 0.5 µm/px; omit `mpp=0.25`"):
        segment(model, slide, settings=MapSettings(mpp=0.25), compute=PLAIN)
    assert len(segment(model, slide, settings=MapSettings(mpp=0.5), compute=PLAIN))


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"stride_px": 15}, "`stride_px=15`: must be from 16 to 64"),
        ({"stride_px": 65}, "`stride_px=65`"),
        ({"min_tissue": 1.1}, "`min_tissue=1.1`"),
        ({"min_tissue": math.nan}, "`min_tissue=nan`"),
        ({"mpp": -1}, "`mpp=-1`"),
        ({"unsure_below": 1.5}, "`unsure_below=1.5`"),
    ],
)
def test_impossible_wishes_are_refused_by_their_name(model, slide, wish, message):
    with pytest.raises(DataError, match=message):
        segment(model, slide, settings=MapSettings(**wish), compute=PLAIN)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"batch_size": 0}, "`batch_size=0`"),
        ({"workers": 0}, "`workers=0`"),
        ({"threads": -3}, "`threads=-3`"),
    ],
)
def test_impossible_numbers_of_computing_are_refused_by_their_name(wish, message):
    with pytest.raises(DataError, match=message):
        Compute(**wish)


def test_a_caller_is_told_how_far_it_is(model, slide):
    told = []
    found = segment(model, slide, compute=PLAIN, progress=lambda *at: told.append(at))
    done, totals, words = zip(*told, strict=True)
    assert done[-1] == len(found)
    assert done == tuple(sorted(done))
    assert set(totals) == {len(found)}
    assert words[0].startswith("section.svs: ")


def test_slides_that_do_not_fit_the_model_are_refused(model, tmp_path):
    coarse = write_slide(tmp_path / "coarse.svs", mpp=2.0)
    with pytest.raises(DataError, match=r"coarse.svs: 2 µm/px, too coarse for tiles at 0.5"):
        segment(model, coarse, compute=PLAIN)
    small = write_slide(tmp_path / "small.svs", stained((300, 48), 0.9, 0.7))
    with pytest.raises(DataError, match=r"small.svs: 48 × 300 px, smaller than one tile"):
        segment(model, small, compute=PLAIN)


def test_a_slide_that_was_cut_off_is_refused(model, slide, tmp_path):
    content = slide.read_bytes()
    (tmp_path / "half.svs").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"half\.svs: damaged"):
        segment(model, tmp_path / "half.svs", compute=PLAIN)


@pytest.mark.slow
def test_a_model_whose_numbers_are_none_is_named(slide, tmp_path):
    import torch

    from hviskd.models import save_model

    broken = write_model(tmp_path / "model")
    with torch.no_grad():
        next(broken.network.parameters()).fill_(torch.nan)
    broken = save_model(broken.network, broken.card, tmp_path / "broken")
    with pytest.raises(ModelError, match=r"broken: .* differs from torch's by inf"):
        segment(broken, slide, compute=PLAIN)


@pytest.mark.slow
def test_a_calibrated_model_brings_its_own_threshold(tmp_path):
    record = CalibrationRecord(
        temperature=2.0,
        data="tiles",
        data_fingerprint="0",
        val_tiles=100,
        nll_before=1.0,
        nll_after=0.9,
        ece_before=0.2,
        ece_after=0.1,
        accuracy=0.95,
        unsure_below=0.9,
        sure_share=0.5,
    )
    model = write_model(tmp_path / "model", calibration=record)
    slide = write_slide(tmp_path / "slide.svs")
    for given, expected in ((None, 0.9), (0.4, 0.4), (0, None)):
        mapped = segment(model, slide, settings=MapSettings(unsure_below=given), compute=PLAIN)
        assert mapped.card.unsure_below == expected
    unsure = int((mapped.probabilities.max(axis=1) < 0.9).sum())
    assert unsure
    path = write_geojson(segment(model, slide, compute=PLAIN), tmp_path / "map.geojson")
    drawn = json.loads(path.read_text())["features"]
    named = [feature["properties"].get("classification", {}).get("name") for feature in drawn]
    tiles = [name for name, feature in zip(named, drawn, strict=True) if feature["properties"]["objectType"] == "tile"]
    assert tiles.count("unsure") == unsure
    with pytest.raises(DataError, match="`unsure_below=1.5`"):
        segment(model, slide, settings=MapSettings(unsure_below=1.5), compute=PLAIN)
