"""Nuclei of synthetic tissue: they lie beside one another, have their size, and fall alike on any band."""

import numpy as np
import pytest
from scipy.spatial import distance

from hviskd.synthesis.layout import TISSUE_CLASSES, lay_out
from hviskd.synthesis.nuclei import Spots, scatter_nuclei, scatter_red_cells, stamp

NAMES = [tissue.name for tissue in TISSUE_CLASSES]


def ellipse(**given: float) -> Spots:
    """Give one ellipse at (20, 30) µm without texture, bend or halo."""
    plain = dict.fromkeys(Spots.__dataclass_fields__, 0.0)
    plain |= {"y_um": 20, "x_um": 30, "long_um": 6, "short_um": 3, "stain": 0.8, "soft_um": 0.5} | given
    return Spots(**{name: np.array([value], np.float32) for name, value in plain.items()})


def scattered(name: str, density_factor: float = 1.0, size_factor: float = 1.0) -> Spots:
    rng = np.random.default_rng(0)
    layout = lay_out(np.full((300, 300), NAMES.index(name)), 0.5, rng)
    spots = scatter_nuclei(layout, density_factor, size_factor, rng)
    return spots.pick(spots.room > 0)  # nucleoli and debris need no room


@pytest.mark.parametrize("mpp", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_a_stamped_ellipse_has_its_area_place_and_direction(mpp: float, angle: float):
    blank = np.zeros((int(40 / mpp), int(60 / mpp)), np.float32)
    stain, cover, _ = stamp(ellipse(angle=angle), blank, blank, 0.0, mpp)
    y_um, x_um = ((np.indices(cover.shape) + 0.5) * mpp)[:]
    mass = cover.sum()
    centre_y, centre_x = (y_um * cover).sum() / mass, (x_um * cover).sum() / mass
    covariance = ((x_um - centre_x) * (y_um - centre_y) * cover).sum()
    spread = ((x_um - centre_x) ** 2 * cover).sum() - ((y_um - centre_y) ** 2 * cover).sum()
    assert mass * mpp**2 == pytest.approx(np.pi * 6 * 3, rel=0.06)
    assert (centre_y, centre_x) == (pytest.approx(20, abs=0.1), pytest.approx(30, abs=0.1))
    assert np.arctan2(2 * covariance, spread) / 2 == pytest.approx(angle, abs=0.03)
    assert stain.max() == pytest.approx(0.8, abs=0.01)


@pytest.mark.slow
def test_bands_stamped_apart_are_the_region_stamped_whole():
    spots = scattered("CT")
    grain, ripple = np.random.default_rng(1).standard_normal((2, 300, 300), np.float32)
    whole = stamp(spots, grain, ripple, 0.0, 0.5)
    for rows in (np.s_[:110], np.s_[110:300]):
        band = stamp(spots, grain[rows], ripple[rows], 0.5 * (rows.start or 0), 0.5)
        for part, field in zip(band, whole, strict=True):
            assert part == pytest.approx(field[rows], abs=1e-4)


def test_nuclei_do_not_lie_on_one_another_however_dense():
    spots = scattered("CT", density_factor=3)
    apart = distance.pdist(np.column_stack([spots.y_um, spots.x_um]))
    narrow = spots.short_um
    least = distance.pdist(narrow[:, None], lambda first, second: first[0] + second[0])
    assert len(spots) > 100
    assert (apart > 0.8 * least).all()


def test_density_and_size_follow_the_patient():
    assert len(scattered("LE", density_factor=1.6)) > 1.3 * len(scattered("LE", density_factor=0.8))
    small, large = scattered("LE"), scattered("LE", size_factor=1.2)
    assert np.median(large.long_um) / np.median(small.long_um) == pytest.approx(1.2, rel=0.05)


def test_nuclei_are_as_large_as_in_life():
    spots = scattered("CT")
    diameter_um = 2 * np.sqrt(spots.long_um * spots.short_um)
    assert 7 < np.median(diameter_um) < 10
    assert diameter_um.max() < 16


def test_red_cells_are_only_in_vessels():
    rng = np.random.default_rng(0)
    assert len(scatter_red_cells(lay_out(np.full((200, 200), NAMES.index("CT")), 0.5, rng), rng)) == 0
    layout = lay_out(np.full((400, 400), NAMES.index("CTmvp")), 0.5, rng)
    cells = scatter_red_cells(layout, rng)
    assert len(cells) > 5
    assert (layout.maps["lumen"][layout.cells(cells.y_um, cells.x_um)] > 0.3).all()


def test_glass_has_no_nuclei():
    assert len(scattered("BG")) == 0
