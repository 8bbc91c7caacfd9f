"""A drawn section is laid out as a pathologist knows it, at any size."""

import numpy as np
import pytest
from scipy import ndimage

from hviskd.errors import DataError
from hviskd.synthesis import TISSUE_CLASSES, lay_out_section

NAMES = [tissue.name for tissue in TISSUE_CLASSES]
SIZES = [(600, 450, 0.5), (300, 500, 2.0), (1500, 1000, 1.0)]


def section(width_px: int = 600, height_px: int = 450, mpp: float = 0.5, seed: int = 0):
    return lay_out_section(width_px, height_px, mpp=mpp, rng=np.random.default_rng(seed))


def of(class_map, name: str):
    return class_map == NAMES.index(name)


@pytest.mark.slow
@pytest.mark.parametrize(("width_px", "height_px", "mpp"), SIZES)
def test_all_eight_classes_are_there_in_areas_worth_the_name(width_px: int, height_px: int, mpp: float):
    for seed in range(6):
        class_map = section(width_px, height_px, mpp, seed)
        assert class_map.shape == (height_px, width_px)
        assert class_map.dtype == np.uint8
        shares = np.bincount(class_map.ravel(), minlength=8) / class_map.size
        assert shares.min() > 0.01
        assert 0.25 < shares[NAMES.index("BG")] < 0.65


@pytest.mark.slow
def test_the_tissue_is_one_piece_with_glass_all_round():
    for seed in range(6):
        class_map = section(seed=seed)
        border = np.concatenate([class_map[0], class_map[-1], class_map[:, 0], class_map[:, -1]])
        assert set(border) == {NAMES.index("BG")}
        _, pieces = ndimage.label(~of(class_map, "BG"))
        assert pieces == 1


@pytest.mark.slow
def test_from_glass_inwards_lie_leading_edge_then_infiltrating_then_cellular_tumour_then_necrosis():
    depth = {name: [] for name in ("LE", "IT", "CT", "CTne")}
    for seed in range(8):
        class_map = section(seed=seed)
        from_glass = ndimage.distance_transform_edt(~of(class_map, "BG"))
        for name, found in depth.items():
            found.append(from_glass[of(class_map, name)].mean())
    means = [np.mean(found) for found in depth.values()]
    assert means == sorted(means)
    assert means[-1] > 2.5 * means[0]


@pytest.mark.slow
def test_necrosis_is_rimmed_by_palisades_and_the_perinecrotic_zone_alone():
    for seed in range(6):
        class_map = section(seed=seed)
        necrosis = of(class_map, "CTne")
        rim = ndimage.binary_dilation(necrosis, iterations=3) & ~necrosis
        shares = np.bincount(class_map[rim], minlength=8) / np.count_nonzero(rim)
        around = shares[NAMES.index("CTpan")], shares[NAMES.index("CTpnz")]
        assert min(around) > 0.05
        assert sum(around) > 0.95


def test_a_section_of_the_usual_size_holds_pure_tiles_of_every_class():
    class_map = section(1000, 750, mpp=2.0)  # a quarter of the pixels of 4000 × 3000 at 0.5 µm a px
    tile_px = 37  # 75 µm: a tile of 150 px at 0.5 µm a px
    for index, name in enumerate(NAMES):
        share = ndimage.uniform_filter((class_map == index).astype(float), tile_px)
        assert np.count_nonzero(share > 0.98) > 50, name


def test_a_section_twice_as_fine_is_the_same_section():
    coarse, fine = section(400, 300, 1.0), section(800, 600, 0.5)
    assert np.mean(fine[::2, ::2] == coarse) > 0.97


def test_the_same_chance_gives_the_same_section_and_another_another():
    np.testing.assert_array_equal(section(), section())
    assert np.mean(section(seed=1) == section(seed=2)) < 0.7


@pytest.mark.parametrize(("side", "mpp"), [(63, 0.5), (0, 0.5), (300, 0.05), (300, 5.0), (300, float("nan"))])
def test_what_cannot_be_laid_out_is_refused(side: int, mpp: float):
    with pytest.raises(DataError):
        section(300, side, mpp)
