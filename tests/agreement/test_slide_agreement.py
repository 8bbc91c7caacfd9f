from pathlib import Path

import numpy as np
import pytest
from shapely import Point, box
from sklearn.metrics import f1_score, precision_score, recall_score

from hviskd.agreement import slide_agreement
from hviskd.agreement.agreeing import agree
from hviskd.agreement.slide_agreement import agree_on_slide, class_scores
from hviskd.annotations import LabelMask, Outlines, Region, write_geojson
from hviskd.errors import DataError
from hviskd.segmentation import SlideMap, save_slide_map
from tests.agreement.rectangles import WHOLE, halves_map, two_class_map
from tests.segmentation.make import map_card

THUMBNAIL = np.full((45, 64, 3), 230, np.uint8)


def _halves(border_px: float) -> Outlines:
    regions = [Region("LEFT", box(0, 0, border_px, 448)), Region("right", box(border_px, 0, 640, 448))]
    return Outlines.of(regions, size=WHOLE)


def test_a_border_moved_by_half_a_cell_gives_the_dice_and_distance_one_can_work_out() -> None:
    found = agree_on_slide(halves_map(), _halves(336)).agreement  # the map's border lies at px 320
    left = class_scores(found.px, (0,))
    assert left.dice == pytest.approx(2 * 320 / (320 + 336))
    assert (left.precision, left.recall) == (1, pytest.approx(320 / 336))
    assert class_scores(found.cells, (0,)).dice == pytest.approx(20 / 21)  # a cell cut in half: the first class
    assert found.hausdorff_um == (pytest.approx(16 * 0.25), pytest.approx(16 * 0.25))
    assert class_scores(found.px, (0, 1)).dice == pytest.approx(1 - 16 / 640)  # of all classes: the share that is right


def test_a_cell_belongs_to_the_class_with_most_of_its_area() -> None:
    nearer, farther = (agree_on_slide(halves_map(), _halves(px)).agreement.cells for px in (335, 337))
    np.testing.assert_array_equal(nearer, [[140, 0, 0], [0, 140, 0]])
    np.testing.assert_array_equal(farther, [[140, 0, 0], [14, 126, 0]])


def test_circle_has_its_area() -> None:
    drawn = Outlines.of([Region("left", Point(320, 224).buffer(200, 256))], size=WHOLE)
    found = agree_on_slide(halves_map(), drawn, unlabelled_is_other=True).agreement
    half_mm2 = np.pi * 200**2 / 2 * 0.25**2 / 1e6
    assert found.px[0, 0] * found.px_mm2 == pytest.approx(half_mm2, rel=1e-3)
    assert class_scores(found.px, (0,)).recall == pytest.approx(0.5, rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("strip_px", [4_000_000, 5_000])
@pytest.mark.parametrize(
    "facts", [{}, {"tile_px": 32, "stride_px": 16}, {"mpp": 0.53}], ids=["plain", "overlap", "odd"]
)
def test_scores_are_sklearns_of_every_px(
    monkeypatch: pytest.MonkeyPatch, facts: dict[str, object], strip_px: int
) -> None:
    monkeypatch.setattr(slide_agreement, "_STRIP_PX", strip_px)
    rng = np.random.default_rng(1)
    places = SlideMap(
        map_card(**({"tile_px": 16, "stride_px": 16} | facts)),
        *[np.zeros(0, np.int32)] * 2,
        np.zeros((0, 3), np.float32),
    ).tile_grid
    share = rng.random((places.rows, places.columns))
    share[rng.random(share.shape) < 0.2] = np.nan
    slide_map = two_class_map(share, **facts)
    indices = rng.choice(np.array([0, 1, 2, 255], np.uint8), (112, 160))
    drawn = LabelMask(classes=("right", "left", "bone"), size=WHOLE, indices=indices, px_per_mask_px=(4, 4))
    found = agree_on_slide(slide_map, drawn).agreement

    mapped = np.full((448, 640), -1)
    grid, starts = slide_map.class_grid(), slide_map.tile_grid.starts_px
    for row, column in np.argwhere(grid != 255):
        (top, bottom), (left, right) = starts(np.array([row, row + 1])), starts(np.array([column, column + 1]))
        mapped[top:bottom, left:right] = grid[row, column]
    expert = np.array([1, 0, 2] + [-1] * 253)[indices].repeat(4, axis=0).repeat(4, axis=1)
    both = (mapped >= 0) & (expert >= 0)
    truth, said = expert[both], mapped[both]
    for place in (0, 1):
        expected = [score(truth == place, said == place) for score in (f1_score, precision_score, recall_score)]
        np.testing.assert_allclose(class_scores(found.px, (place,)), expected)
    micro = {"labels": [0, 1], "average": "micro"}
    expected = [score(truth, said, **micro) for score in (f1_score, precision_score, recall_score)]
    np.testing.assert_allclose(class_scores(found.px, (0, 1)), expected)
    assert found.left_out.labelled_px_without_tile == ((mapped < 0) & (expert >= 0)).sum()
    assert found.left_out.tile_px_unlabelled == ((mapped >= 0) & (expert < 0)).sum()
    assert found.left_out.cells_without_tile == (grid == 255).sum()
    assert found.cells.sum() + found.left_out.cells_unlabelled == (grid != 255).sum()
    assert "bone" in " ".join(found.notes)


def test_what_is_unlabelled_is_left_out_or_counts_as_wrong() -> None:
    drawn = Outlines.of([Region("left", box(0, 0, 160, 448))], size=WHOLE)
    found = agree_on_slide(halves_map(), drawn).agreement
    assert class_scores(found.px, (0,)) == (1, 1, 1)
    assert np.isnan(found.hausdorff_um[0])  # nothing that was compared lies beyond the outline
    assert (found.left_out.cells_unlabelled, found.left_out.tile_px_unlabelled) == (15 * 14, 480 * 448)
    strict = agree_on_slide(halves_map(), drawn, unlabelled_is_other=True).agreement
    assert class_scores(strict.px, (0,)) == (pytest.approx(2 / 3), 0.5, 1)
    assert strict.hausdorff_um[0] == pytest.approx(160 * 0.25)


def test_without_a_class_in_common_or_a_common_place_there_is_no_number() -> None:
    with pytest.raises(DataError, match="none of the map's"):
        agree_on_slide(halves_map(), Outlines.of([Region("bone", box(0, 0, 9, 9))], size=WHOLE))
    share = np.full((14, 20), np.nan)
    share[0, 0] = 0.6
    with pytest.raises(DataError, match="no place"):
        agree_on_slide(two_class_map(share), Outlines.of([Region("left", box(300, 300, 400, 400))], size=WHOLE))


@pytest.mark.slow
def test_maps_find_the_annotations_of_their_slides_and_models_of_one_name_stay_apart(tmp_path: Path) -> None:
    for slide in ("a", "b"):
        for weights in ("1" * 64, "2" * 64):
            one = halves_map(slide=f"{slide}.svs", model_fingerprint=weights)
            save_slide_map(one, tmp_path / f"maps{weights[0]}" / slide, THUMBNAIL)
        write_geojson(_halves(336), tmp_path / "drawn" / f"{slide}.geojson")
    found = agree([tmp_path / "maps1", str(tmp_path / "maps2" / "b")], tmp_path / "drawn").maps
    assert [one.slide for one in found] == ["a.svs", "b.svs", "b.svs"]
    assert len({one.model for one in found}) == 2
    with pytest.raises(DataError, match="2 slides"):
        agree(tmp_path / "maps1", tmp_path / "drawn" / "a.geojson")
    with pytest.raises(DataError, match="identical"):
        agree([tmp_path / "maps1", tmp_path / "maps1" / "a" / ".." / "a"], tmp_path / "drawn")
    with pytest.raises(DataError, match="no such folder"):
        agree([tmp_path / "nothing"], tmp_path / "drawn")
