"""Where tissue is found, and what share of a square is tissue."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from hviskd.slides import TissueMask, TissueRule, open_slide, tissue_mask
from hviskd.slides.tissue_colour import Thresholds
from tests.data import DATA, REAL, name, present
from tests.slides.make import glass, stained, write_svs

MPP = 4.0  # so that a small file shows a few millimetres
SIDE = 512


def disc(radius_px: float, centre=(256, 256)) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.hypot(y - centre[0], x - centre[1]) < radius_px


def found(tmp_path, image, mpp=MPP, **rule) -> TissueMask:
    path = write_svs(tmp_path / "slide.svs", image, mpp=mpp, quality=85)
    with open_slide(path) as slide:
        return tissue_mask(slide, TissueRule(**rule))


def overlap(mask, truth) -> float:
    """Intersection over union of a mask at 8 µm/px with a truth at 4 µm/px."""
    truth = truth[::2, ::2]
    return (mask & truth).sum() / (mask | truth).sum()


@pytest.mark.parametrize(("haematoxylin", "eosin"), [(0.6, 0.6), (1.5, 0.8), (0.05, 0.18), (0.3, 0.15)])
def test_tissue_is_found_however_strongly_it_is_stained(tmp_path, haematoxylin, eosin):
    truth = disc(150)
    image = np.where(truth[..., None], stained((SIDE, SIDE), haematoxylin, eosin), glass((SIDE, SIDE)))
    mask = found(tmp_path, image)
    assert (mask.mpp, mask.cell_px, mask.tissue.shape) == (8.0, 2.0, (256, 256))
    assert overlap(mask.tissue, truth) > 0.95
    assert not mask.ink.any()
    assert mask.area_um2 == pytest.approx(np.pi * (150 * MPP) ** 2, rel=0.05)


def test_a_slide_of_glass_has_no_tissue(tmp_path):
    assert not found(tmp_path, glass((SIDE, SIDE))).tissue.any()


def test_grey_shadows_and_dust_are_no_tissue(tmp_path):
    shadow = (glass((SIDE, SIDE)) * np.where(disc(150), 0.6, 1)[..., None]).astype(np.uint8)
    assert not found(tmp_path, shadow).tissue.any()


def test_a_slide_all_tissue_is_all_tissue(tmp_path):
    both = np.where(disc(150)[..., None], stained((SIDE, SIDE), 1.5, 0.8), stained((SIDE, SIDE), 0.2, 0.3))
    assert found(tmp_path, both).tissue.mean() > 0.99


def test_pure_white_where_nothing_was_scanned_does_not_make_glass_tissue(tmp_path):
    image = np.where(disc(100)[..., None], stained((SIDE, SIDE), 0.6, 0.6), glass((SIDE, SIDE)) - 12)
    image[:, 400:] = 255
    assert overlap(found(tmp_path, image).tissue, disc(100)) > 0.9


def test_dirt_is_dropped_and_small_holes_are_closed(tmp_path):
    truth = disc(150)
    drawn = (truth & ~disc(10) & ~disc(30, (256, 340))) | disc(8, (40, 40)) | disc(25, (450, 60))
    image = np.where(drawn[..., None], stained((SIDE, SIDE), 0.6, 0.6), glass((SIDE, SIDE)))
    mask = found(tmp_path, image)  # at 4 µm/px, areas in µm²: 5,000 and 45,000 of holes, 3,200 and 31,000 of pieces
    at = mask.tissue
    assert at[128, 128]
    assert not at[128, 170]
    assert not at[20, 20]
    assert at[225, 30]
    strict = found(tmp_path, image, min_area_um2=100_000, min_hole_um2=100_000)
    assert strict.tissue[128, 170]
    assert not strict.tissue[225, 30]


INKS = {
    "blue": (30, 60, 165),
    "pale blue": (120, 150, 215),
    "green": (20, 130, 80),
    "black": (35, 35, 38),
    "red": (205, 40, 50),
    "dark red": (190, 30, 45),
    "crimson": (220, 20, 60),
}


@pytest.mark.parametrize("colour", INKS.values(), ids=INKS.keys())
def test_marker_ink_on_glass_is_left_out(tmp_path, colour):
    tissue = disc(110, (256, 150))
    image = np.where(tissue[..., None], stained((SIDE, SIDE), 1.2, 0.6), glass((SIDE, SIDE)))
    stroke = disc(60, (256, 420)) & ~disc(35, (256, 420))
    image[stroke] = colour
    mask = found(tmp_path, image)
    assert overlap(mask.tissue, tissue) > 0.93
    assert mask.ink[stroke[::2, ::2]].mean() > 0.95


def test_what_a_user_knows_better_goes_before_what_is_found(tmp_path):
    dark, pale = disc(90, (256, 140)), disc(90, (256, 380))
    image = np.where(dark[..., None], stained((SIDE, SIDE), 1.5, 0.8), glass((SIDE, SIDE)))
    image[pale] = stained((SIDE, SIDE), 0.1, 0.15)[pale]
    assert overlap(found(tmp_path, image).tissue, dark | pale) > 0.9
    dense = found(tmp_path, image, density=0.15)
    assert overlap(dense.tissue, dark) > 0.9
    assert dense.thresholds.density == 0.15
    assert overlap(found(tmp_path, image, saturation=0.3).tissue, dark) > 0.9


def test_ink_can_be_kept(tmp_path):
    stroke = disc(60)
    image = np.where(stroke[..., None], np.uint8(INKS["blue"]), glass((SIDE, SIDE)))
    assert not found(tmp_path, image).tissue.any()
    kept = found(tmp_path, image, keep_ink=True)
    assert not kept.ink.any()
    assert overlap(kept.tissue, stroke) > 0.9


def test_tissue_rich_in_haematoxylin_is_no_ink(tmp_path):
    mask = found(tmp_path, stained((SIDE, SIDE), 2.5, 0.3))
    assert not mask.ink.any()
    assert mask.tissue.mean() > 0.99


def test_the_mask_is_never_finer_than_the_slide(tmp_path):
    image = np.where(disc(150)[..., None], stained((SIDE, SIDE), 0.6, 0.6), glass((SIDE, SIDE)))
    mask = found(tmp_path, image, mpp=10.0)
    assert (mask.mpp, mask.cell_px, mask.tissue.shape) == (10.0, 1.0, (SIDE, SIDE))


def test_the_share_of_a_square_is_counted_exactly():
    rng = np.random.default_rng(0)
    tissue = rng.random((12, 17)) < 0.4
    mask = TissueMask(tissue, np.zeros_like(tissue), cell_px=5.0, mpp=2.5, thresholds=Thresholds(0.04, 0.05))
    fine = np.pad(tissue.repeat(5, axis=0).repeat(5, axis=1), 60)  # level-0 px, with glass all round
    x, y = rng.integers(-50, 110, 200), rng.integers(-50, 80, 200)
    for side in (1, 7, 40):
        counted = [fine[b + 60 : b + 60 + side, a + 60 : a + 60 + side].mean() for a, b in zip(x, y, strict=True)]
        assert np.allclose(mask.share(x, y, side), counted)


def test_shares_of_a_whole_grid_come_in_its_shape():
    mask = TissueMask(
        np.ones((4, 4), bool), np.zeros((4, 4), bool), cell_px=2.0, mpp=1.0, thresholds=Thresholds(0.04, 0.05)
    )
    shares = mask.share(np.array([-2.0, 0.0, 7.0]), np.array([[0.0], [2.5]]), 2.0)
    assert np.allclose(shares, [[0, 1, 0.5], [0, 1, 0.5]])


SECTIONS = {  # share that is tissue, as drawn or outlined by eye
    DATA / "scan.svs": 0.58,
    REAL / "slides/CMU-1-Small-Region.svs": 0.40,
    REAL / "slides/TCGA-CR-7395-01A-01-TS1.svs": 0.64,
}


@pytest.mark.slow
@pytest.mark.parametrize("path", present(SECTIONS), ids=name)
def test_sections_are_found_and_nothing_in_them_is_ink(path):
    with open_slide(path, slide_mpp=0.499) as slide:
        mask = tissue_mask(slide)
    assert mask.tissue.mean() == pytest.approx(SECTIONS[path], abs=0.03)
    assert mask.ink.mean() < 0.001


def test_a_section_is_found_where_it_was_drawn():
    with open_slide(DATA / "scan.svs") as slide:
        mask = tissue_mask(slide)
    with Image.open(DATA / "section_tissue.png") as drawn:
        small = drawn.convert("L").resize(mask.tissue.shape[::-1], Image.Resampling.BOX)
    drawn = np.asarray(small) > 127
    assert (mask.tissue & drawn).sum() / (mask.tissue | drawn).sum() > 0.93


def test_a_notebook_shows_tissue_and_ink_with_their_areas():
    tissue, ink = np.zeros((600, 300), bool), np.zeros((600, 300), bool)
    tissue[:300], ink[400:, :30] = True, True
    html = TissueMask(tissue=tissue, ink=ink, cell_px=2, mpp=8, thresholds=Thresholds(0.05, 0.1))._repr_html_()
    assert "tissue 5.76 mm² (purple), ink 0.384 mm² (green), left out, at 8 µm/px" in html
    data = re.search(r'image/png;base64,([^"]*)"', html)[1]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert pixels.shape == (300, 150, 3)
    assert len({tuple(pixel) for pixel in (pixels[0, 0], pixels[299, 0], pixels[160, 0])}) == 3
