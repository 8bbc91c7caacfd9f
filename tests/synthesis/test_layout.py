"""The layout of synthetic tissue: the structures by which a pathologist tells the classes apart."""

import numpy as np
import pytest

from hviskd.synthesis.layout import CELL_UM, MARGIN_UM, TISSUE_CLASSES, lay_out, waves

NAMES = [tissue.name for tissue in TISSUE_CLASSES]
INSIDE = np.s_[
    int(MARGIN_UM / CELL_UM) : -int(MARGIN_UM / CELL_UM), int(MARGIN_UM / CELL_UM) : -int(MARGIN_UM / CELL_UM)
]


def layouts_of_tiles(name: str, count: int = 60):
    """Lay out tiles of 75 µm of one class."""
    class_map = np.full((150, 150), NAMES.index(name))
    return [lay_out(class_map, 0.5, np.random.default_rng(seed)) for seed in range(count)]


def test_most_tiles_of_microvascular_proliferation_show_a_lumen_and_no_other_class_does():
    lumen = [layout.maps["lumen"][INSIDE].mean() for layout in layouts_of_tiles("CTmvp")]
    assert np.mean(np.array(lumen) > 0.01) > 0.85
    for name in NAMES:
        if name != "CTmvp":
            assert layouts_of_tiles(name, 1)[0].maps["lumen"].max() == 0


def test_most_tiles_of_pseudopalisading_cells_show_both_bare_core_and_dense_fringe():
    shows = []
    for layout in layouts_of_tiles("CTpan"):
        nuclei = layout.maps["nuclei_per_mm2"][INSIDE]
        shows.append((nuclei < 2000).mean() > 0.05 and (nuclei > 12000).mean() > 0.05)
    assert np.mean(shows) > 0.85


def test_nuclei_thin_out_from_tumour_through_the_perinecrotic_zone_to_necrosis():
    density = {
        name: np.mean([layout.maps["nuclei_per_mm2"].mean() for layout in layouts_of_tiles(name, 20)])
        for name in ("CT", "CTpnz", "CTne")
    }
    assert density["CT"] > 1.5 * density["CTpnz"] > 3 * density["CTne"]


def test_palisades_stand_across_the_edge_of_necrosis():
    class_map = np.full((400, 400), NAMES.index("CTpan"))
    class_map[:, :160] = NAMES.index("CTne")
    layout = lay_out(class_map, 0.5, np.random.default_rng(1))
    edge = int((160 * 0.5 + MARGIN_UM) / CELL_UM)
    beside = layout.along_x[INSIDE[0], edge + 3 : edge + 8]  # 6 to 16 µm into the palisade
    assert np.median(np.abs(beside)) > 0.85


def test_the_wall_of_a_vessel_runs_round_its_lumen():
    layout = lay_out(np.full((300, 300), NAMES.index("CTmvp")), 0.5, np.random.default_rng(0))
    lumen = layout.maps["lumen"]
    slope_y, slope_x = np.gradient(lumen)
    steep = np.hypot(slope_y, slope_x)
    rim = steep > 0.3
    outward = (slope_x * layout.along_x + slope_y * layout.along_y)[rim] / steep[rim]
    assert rim.sum() > 50
    assert np.median(np.abs(outward)) < 0.35


def test_directions_are_unit_vectors():
    layout = lay_out(np.random.default_rng(0).integers(0, 8, (90, 120)), 0.5, np.random.default_rng(0))
    assert np.hypot(layout.along_x, layout.along_y) == pytest.approx(1, abs=1e-5)


def test_every_cell_is_wholly_some_tissue_or_glass_where_all_classes_meet():
    class_map = np.repeat(np.repeat(np.arange(8).reshape(2, 4), 120, 0), 120, 1)
    glass = lay_out(class_map, 0.5, np.random.default_rng(0)).maps["glass"]
    assert glass.min() >= 0
    assert glass.max() <= 1 + 1e-6
    assert glass[80:, 110:].mean() > 0.95  # the class in the last corner is glass
    assert glass[:36].max() < 0.01


def test_enlarging_is_linear_interpolation_between_the_cells_centres():
    layout = layouts_of_tiles("LE", 1)[0]
    rows, columns = layout.along_x.shape
    centres_y, centres_x = (np.arange(count) * CELL_UM + CELL_UM / 2 - MARGIN_UM for count in (rows, columns))
    ramp = (2 * centres_y[:, None] - 3 * centres_x[None, :]).astype(np.float32)
    y_um, x_um = np.linspace(0, 74, 31, dtype=np.float32), np.linspace(0, 74, 17, dtype=np.float32)
    assert layout.enlarge(ramp, y_um, x_um) == pytest.approx(2 * y_um[:, None] - 3 * x_um[None, :], abs=1e-3)


def test_waves_have_mean_0_and_variance_1_and_do_not_depend_on_the_grid_they_are_asked_on():
    line = np.arange(0, 4000, 20, dtype=np.float32)
    field = waves(np.random.default_rng(0), line, line, 40, 90)
    assert abs(field.mean()) < 0.05
    assert field.std() == pytest.approx(1, abs=0.05)
    part = waves(np.random.default_rng(0), line[50:60], line[120:150], 40, 90)
    assert part == pytest.approx(field[50:60, 120:150], abs=1e-4)
