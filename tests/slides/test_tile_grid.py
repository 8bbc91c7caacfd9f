import numpy as np
import pytest

from hviskd.annotations import LabelMask
from hviskd.cutting import CutSettings
from hviskd.cutting.candidates import find_candidates
from hviskd.errors import DataError
from hviskd.models import read_model_card
from hviskd.segmentation import MapSettings
from hviskd.segmentation.preparing import prepare_slide
from hviskd.segmentation.settings import Request
from hviskd.slides import TileGrid, open_slide, tissue_mask
from tests.segmentation.make import TILE_PX, write_model, write_slide
from tests.slides.make import stained


def test_a_side_that_is_no_whole_number_of_px_begins_at_the_nearest_px():
    grid = TileGrid.over((1000, 333), 0.3, tile_px=10, mpp=1.0)  # 33.33 px a side
    assert grid.tile0_px == grid.stride0_px == pytest.approx(33.333, abs=1e-3)
    assert (grid.rows, grid.columns, grid.side_px) == (9, 30, 33)  # 30 tiles are 1,000 px wide, ten 333.3 px high
    x_px, y_px = grid.places_px()
    assert x_px[:5].tolist() == y_px[:5].tolist() == [0, 33, 67, 100, 133]
    assert np.diff(x_px).min() == grid.side_px


def test_tiles_overlap_where_the_step_is_smaller_and_cells_are_as_large_as_the_step():
    grid = TileGrid.over((640, 448), 0.25, tile_px=32, mpp=0.5, stride_px=16)
    assert (grid.tile0_px, grid.stride0_px, grid.rows, grid.columns) == (64, 32, 13, 19)
    assert grid.cells == (14, 20)


@pytest.mark.slow
@pytest.mark.parametrize("slide_mpp", [0.5, 0.25 * (1 + 1e-9), 0.2527, 0.31])
def test_a_map_and_a_cutting_of_one_slide_have_the_same_tiles(tmp_path, slide_mpp):
    path = write_slide(tmp_path / "s.svs", stained((700, 1000), 0.9, 0.7), mpp=slide_mpp)
    write_model(tmp_path / "model")
    request = Request.of(read_model_card(tmp_path / "model"), MapSettings())
    with prepare_slide(path, request).slide, open_slide(path) as slide:
        mapped = prepare_slide(path, request)
        drawn = LabelMask(
            classes=("all",), size=slide.size, indices=np.zeros((1, 1), np.uint8), px_per_mask_px=slide.size
        )
        settings = CutSettings(tile_px=TILE_PX, purity=0.8)
        cut = find_candidates(slide, drawn, tissue_mask(slide), settings)
        mapped.slide.close()
    assert len(cut.x_px) > 20
    assert np.array_equal(cut.x_px, mapped.x_px)
    assert np.array_equal(cut.y_px, mapped.y_px)


def test_a_slide_much_coarser_than_the_tiles_or_smaller_than_one_is_refused(tmp_path):
    with open_slide(write_slide(tmp_path / "s.svs", stained((300, 48), 0.9, 0.7), mpp=0.76)) as slide:
        with pytest.raises(DataError, match=r"s\.svs: 0\.76 µm/px, too coarse for tiles at 0\.5 µm/px"):
            TileGrid.on(slide, tile_px=64, mpp=0.5)
        with pytest.raises(DataError, match=r"s\.svs: 48 × 300 px, smaller than one tile \(50 px\)"):
            TileGrid.on(slide, tile_px=38, mpp=1.0)
        assert TileGrid.on(slide, tile_px=36, mpp=1.0).columns == 1
