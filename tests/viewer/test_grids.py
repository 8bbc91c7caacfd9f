"""The bytes that layers are drawn from."""

import gzip

import numpy as np
import pytest

from hviskd.arrays import NO_CLASS_BYTE
from hviskd.segmentation import load_slide_map
from hviskd.segmentation.pyramid import halve_classes, pyramid_of
from hviskd.viewer.grids import Grid, as_bytes

from .asking import ask
from .mapped import CELL, COLUMNS, ROWS


def test_shares_are_told_from_no_share():
    assert as_bytes(np.array([np.nan, 0, 0.5, 1])).tolist() == [0, 1, 128, 255]


def test_tiles_of_a_large_grid_are_its_parts_at_every_level():
    cells = np.random.default_rng(0).integers(0, 9, (700, 300), np.uint8)
    grid = Grid(pyramid_of(cells, halve_classes), 64.0)
    assert [level.shape for level in grid.levels] == [(700, 300), (350, 150), (175, 75)]
    assert grid.tile(0, 1, 2) == cells[512:, 256:].tobytes()
    assert grid.tile(2, 0, 0) == grid.levels[2].tobytes()
    assert [grid.tile(*place) for place in ((0, 2, 0), (0, 0, 3), (3, 0, 0), (-1, 0, 0))] == [None] * 4


def test_a_layer_is_answered_with_its_geometry_and_cells(mapped, mapped_keys, cohort):
    layer = f"/slides/{mapped_keys['A.svs']}/layers/0-classes"
    told = ask(mapped, layer).json
    assert told == {"rows": ROWS, "columns": COLUMNS, "cell_px": CELL, "levels": 1, "tile": 256}
    answer = ask(mapped, f"{layer}/0/0/0")
    assert answer.headers["content-encoding"] == "gzip"
    cells = np.frombuffer(gzip.decompress(answer.body), np.uint8).reshape(ROWS, COLUMNS)
    own = load_slide_map(cohort / "kd" / "A").class_grid()
    np.testing.assert_array_equal(cells, own)
    assert (cells == NO_CLASS_BYTE).any()


@pytest.mark.parametrize(
    "layer", ["9-classes", "0-class-3", "0-class-99999", "classes", "0-", "0-..", "-1-top", "0-CLASSES", "tissue2"]
)
def test_layers_that_do_not_exist_are_refused(mapped, mapped_keys, layer):
    for target in (layer, f"{layer}/0/0/0"):
        assert ask(mapped, f"/slides/{mapped_keys['A.svs']}/layers/{target}").status == 404


def test_disagreement_without_outlines_is_told(mapped, mapped_keys, cohort):
    answer = ask(mapped, f"/slides/{mapped_keys['B.svs']}/layers/0-disagreement")
    assert answer.status == 422
    assert answer.json["problem"].startswith("B.svs: has no annotation")
    assert str(cohort) not in answer.json["problem"]
