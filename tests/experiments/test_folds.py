"""Folds: every patient is unseen exactly once, pixels are shared, and a half-made folder is never used."""

import numpy as np
import pytest

from hviskd.errors import DataError
from hviskd.experiments.folds import make_folds
from hviskd.tiles import check_leak
from tests.conftest import write_tiles


@pytest.mark.slow
def test_every_tile_is_unseen_once_and_no_patient_crosses(tileset, tmp_path):
    folds = make_folds(tileset, 4, tmp_path)
    unseen = np.concatenate([fold.rows("test") for fold in folds])
    assert sorted(unseen) == list(range(len(tileset)))
    for fold in folds:
        assert not check_leak(fold).leaks
        parts = [set(fold.table["patient"].iloc[fold.rows(split)]) for split in ("train", "val", "test")]
        assert all(parts)
        assert sum(map(len, parts)) == 7
        assert set(fold.table["class"].iloc[fold.rows("test")]) == set(tileset.classes)
        assert fold.fingerprint == tileset.fingerprint
        assert (fold.folder / "pixels.npy").samefile(tileset.folder / "pixels.npy")


@pytest.mark.slow
def test_a_second_call_reads_the_same_folds(tileset, tmp_path):
    first = make_folds(tileset, 3, tmp_path)
    again = make_folds(tileset, 3, tmp_path)
    assert [fold.split_fingerprint for fold in again] == [fold.split_fingerprint for fold in first]


@pytest.mark.slow
def test_folds_of_other_tiles_are_refused(tileset, tmp_path):
    make_folds(tileset, 3, tmp_path / "folds")
    other = write_tiles(tmp_path / "other", seed=9)
    with pytest.raises(DataError, match="other tiles"):
        make_folds(other, 3, tmp_path / "folds")


def test_without_patients_or_with_too_few_it_says_so(tileset, tmp_path):
    with pytest.raises(DataError, match="7 patients are too few for 11 folds"):
        make_folds(tileset, 11, tmp_path)
