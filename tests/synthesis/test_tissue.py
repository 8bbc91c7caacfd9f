"""Synthetic tissue: what a demo, a benchmark and a synthetic slide rely on when they draw it."""

import numpy as np
import pytest
from scipy import ndimage

from hviskd.errors import DataError
from hviskd.synthesis.tissue import TISSUE_CLASSES, PatientLook, draw_patient, draw_tile, draw_tissue

NAMES = [tissue.name for tissue in TISSUE_CLASSES]


def tile(name: str, look: PatientLook, seed: int, tile_px: int = 150, mpp: float = 0.5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return draw_tile(NAMES.index(name), look, tile_px=tile_px, mpp=mpp, rng=rng)


def haematoxylin(picture: np.ndarray, look: PatientLook) -> np.ndarray:
    """Unmix the picture with the patient's own stains, float (H, W)."""
    density = -np.log10(np.maximum(picture, 1) / np.array(look.background_rgb))
    amounts, *_ = np.linalg.lstsq(np.array([look.haematoxylin, look.eosin]).T, density.reshape(-1, 3).T)
    return amounts[0].reshape(picture.shape[:2])


def test_classes_are_the_atlas_s_in_its_order_and_colours():
    assert NAMES == ["CTne", "IT", "LE", "CT", "CTmvp", "CTpan", "CTpnz", "BG"]
    assert len({tissue.colour for tissue in TISSUE_CLASSES}) == 8
    assert TISSUE_CLASSES[4].colour == (255, 51, 0)


@pytest.mark.parametrize(("tile_px", "mpp"), [(1, 0.5), (5, 4.0), (48, 1.5), (150, 0.5)])
@pytest.mark.parametrize("index", range(8))
def test_a_tile_has_the_size_and_type_asked_for(index: int, tile_px: int, mpp: float):
    picture = draw_tile(index, draw_patient(0), tile_px=tile_px, mpp=mpp, rng=np.random.default_rng(0))
    assert picture.shape == (tile_px, tile_px, 3)
    assert picture.dtype == np.uint8


@pytest.mark.parametrize("name", NAMES)
def test_the_same_state_of_the_generator_draws_the_same_picture_and_another_another(name: str):
    look = draw_patient(3)
    assert np.array_equal(tile(name, look, 1), tile(name, look, 1))
    assert not np.array_equal(tile(name, look, 1), tile(name, look, 2))
    assert draw_patient(3) == draw_patient(3) != draw_patient(4)


def test_drawing_leaves_numpy_s_global_generator_and_the_class_map_alone():
    class_map = np.full((40, 40), 3)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    draw_tissue(class_map, draw_patient(0), rng=np.random.default_rng(0))
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    assert (class_map == 3).all()


@pytest.mark.slow
def test_patients_differ_more_in_colour_than_the_tiles_of_one():
    colours = np.array(
        [[tile("CT", draw_patient(patient), seed).mean((0, 1)) for seed in range(4)] for patient in range(8)]
    )
    assert np.linalg.norm(colours.mean(1).std(0)) > 1.2 * np.linalg.norm(colours.std(1).mean(0))


@pytest.mark.slow
def test_haematoxylin_falls_from_cellular_tumour_to_glass():
    looks = [draw_patient(patient) for patient in range(5)]
    amount = {
        name: np.mean([haematoxylin(tile(name, look, seed), look).mean() for look in looks for seed in range(3)])
        for name in ("CT", "IT", "LE", "BG")
    }
    assert amount["CT"] > 1.3 * amount["IT"]
    assert amount["IT"] > 1.1 * amount["LE"]
    assert amount["LE"] > 0.05
    assert abs(amount["BG"]) < 0.02


def test_empty_glass_is_nearly_white():
    for patient in range(6):
        picture = tile("BG", draw_patient(patient), patient)
        assert picture.mean() > 232
        assert np.quantile(picture, 0.02) > 215


def test_tissue_lies_where_the_class_map_puts_it():
    rows, columns = np.mgrid[:300, :400]
    inside = np.hypot(rows - 150, columns - 200) < 90
    look = draw_patient(1)
    picture = draw_tissue(
        np.where(inside, NAMES.index("CT"), NAMES.index("BG")), look, mpp=0.5, rng=np.random.default_rng(5)
    )
    seen = ndimage.uniform_filter(picture.min(2).astype(float), 9) < 0.85 * min(look.background_rgb)
    clear_of_edge = np.abs(np.hypot(rows - 150, columns - 200) - 90) > 16  # 8 µm, the width of the blend
    assert (seen == inside)[clear_of_edge].mean() > 0.99


def test_a_region_of_two_tissues_shows_each_on_its_side():
    class_map = np.full((200, 400), NAMES.index("LE"))
    class_map[:, 200:] = NAMES.index("CT")
    look = draw_patient(2)
    amount = haematoxylin(draw_tissue(class_map, look, rng=np.random.default_rng(0)), look)
    assert amount[:, 230:].mean() > 1.4 * amount[:, :170].mean()


def nuclear_diameter_um(mpp: float) -> float:
    """Measure the median diameter of the nuclei in leading edge, 300 µm wide, drawn at `mpp`."""
    look = draw_patient(0)
    picture = tile("LE", look, 7, tile_px=int(300 / mpp), mpp=mpp)
    labels, count = ndimage.label(haematoxylin(picture, look) > 0.5)
    area_um2 = ndimage.sum_labels(np.ones(labels.shape), labels, range(1, count + 1)) * mpp**2
    return float(np.median(2 * np.sqrt(area_um2[area_um2 > 15] / np.pi)))


@pytest.mark.slow
def test_nuclei_keep_their_size_in_µm_at_any_resolution():
    diameters = [nuclear_diameter_um(mpp) for mpp in (0.25, 0.5, 1.0)]
    assert min(diameters) > 6
    assert max(diameters) < 11
    assert max(diameters) / min(diameters) < 1.15


def test_no_seam_shows_where_two_bands_of_rows_meet():
    class_map = np.full((600, 300), NAMES.index("IT"))
    picture = draw_tissue(class_map, draw_patient(0), rng=np.random.default_rng(0)).astype(float)
    step = np.abs(np.diff(picture, axis=0)).mean((1, 2))  # between each row and the next
    for seam in (255, 511):
        assert step[seam] < 1.5 * np.median(step)


@pytest.mark.parametrize(
    "class_map",
    [
        np.full((4, 4), 8),
        np.full((4, 4), -1),
        np.zeros((0, 4), int),
        np.zeros(4, int),
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((4, 4)),
        np.zeros((4, 4), bool),
    ],
)
def test_a_map_that_is_no_map_of_classes_is_refused(class_map: np.ndarray):
    with pytest.raises(DataError, match="class map"):
        draw_tissue(class_map, draw_patient(0), rng=np.random.default_rng(0))


@pytest.mark.parametrize("mpp", [0, -1, 0.01, 40, float("nan"), float("inf")])
def test_a_resolution_that_cannot_be_drawn_is_refused(mpp: float):
    with pytest.raises(DataError, match="mpp"):
        draw_tile(0, draw_patient(0), mpp=mpp, rng=np.random.default_rng(0))


def test_a_tile_of_no_class_or_no_size_is_refused():
    with pytest.raises(DataError, match="0 to 7"):
        draw_tile(8, draw_patient(0), rng=np.random.default_rng(0))
    with pytest.raises(DataError, match="tile_px"):
        draw_tile(0, draw_patient(0), tile_px=0, rng=np.random.default_rng(0))
