import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hviskd.arrays import NO_CLASS
from hviskd.segmentation.certainty import UNSURE, label_map

from .maps import map_of, maps, random_map


def test_without_a_threshold_the_labels_are_the_classes():
    sure = random_map(6, 7)
    labels = label_map(sure)
    assert labels.names == sure.classes
    np.testing.assert_array_equal(labels.of_tiles, sure.class_index)
    np.testing.assert_array_equal(np.where(labels.of_cells == NO_CLASS, 255, labels.of_cells), sure.class_grid())
    assert dict(zip(labels.names, labels.areas_mm2(sure.stride_um), strict=True)) == pytest.approx(sure.areas_mm2())


def test_what_is_less_probable_than_the_threshold_is_unsure():
    labels = label_map(map_of([[0, 1], [2, -1]], probability=0.6), 0.61)
    assert labels.names[-1] == UNSURE
    np.testing.assert_array_equal(labels.of_cells, [[3, 3], [3, NO_CLASS]])
    np.testing.assert_array_equal(label_map(map_of([[0, 1], [2, -1]], probability=0.6), 0.59).of_tiles, [0, 1, 2])


def test_a_map_brings_its_own_threshold_and_zero_takes_every_class():
    some = map_of([[0, 1], [2, -1]], probability=0.6, unsure_below=0.61)
    assert label_map(some).of_tiles.tolist() == [3, 3, 3]
    assert label_map(some, 0.5).of_tiles.tolist() == label_map(some, 0).of_tiles.tolist() == [0, 1, 2]
    assert label_map(some, 0).names == some.classes


@given(maps(), st.floats(0, 1, exclude_min=True))
def test_a_threshold_moves_area_to_unsure_and_loses_none(some, threshold):
    before, after = label_map(some), label_map(some, threshold)
    areas = after.areas_mm2(some.stride_um)
    assert areas.sum() == pytest.approx(before.areas_mm2(some.stride_um).sum())
    assert (areas[:-1] <= before.areas_mm2(some.stride_um) + 1e-12).all()
    best = np.nanmax(np.nan_to_num(some.grid(), nan=2), axis=-1, initial=0)
    assert (after.of_cells == len(some.classes)).sum() == (best < threshold).sum()


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_is_a_share(threshold):
    with pytest.raises(ValueError, match="unsure_below"):
        label_map(random_map(2, 2), threshold)
