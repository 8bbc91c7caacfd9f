"""How alike two Models look: against SciPy, over patients, and where there is nothing to compare."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from hviskd.attention.resemblance import rank_correlation, resemblance_table
from hviskd.evaluation.significance import mean_interval


def test_it_is_spearman_s_with_shared_ranks():
    rng = np.random.default_rng(0)
    ours, theirs = rng.integers(0, 5, (2, 6, 6)).astype(np.float32)
    assert rank_correlation(ours, theirs) == pytest.approx(spearmanr(ours.ravel(), theirs.ravel()).statistic)
    assert rank_correlation(ours, np.exp(ours)) == pytest.approx(1)
    assert rank_correlation(ours, -ours) == pytest.approx(-1)


def test_the_finer_map_is_averaged_to_the_coarser():
    coarse = np.arange(16, dtype=np.float32).reshape(4, 4)
    fine = np.kron(coarse, np.ones((3, 3), np.float32)) + np.tile(np.float32([-0.4, 0, 0.4]), (12, 4))
    assert rank_correlation(fine, coarse) == pytest.approx(1)
    assert rank_correlation(coarse, fine) == pytest.approx(1)


def test_a_map_that_is_the_same_everywhere_has_no_order():
    assert np.isnan(rank_correlation(np.zeros((4, 4), np.float32), np.arange(16, dtype=np.float32).reshape(4, 4)))


def test_every_model_is_compared_with_the_first_over_patients():
    rng = np.random.default_rng(1)
    teacher = rng.random((9, 4, 4), np.float32)
    blind = teacher.copy()
    blind[4] = 0
    owner = np.array(["a", "a", "a", "b", "b", "b", "c", "c", "c"])
    noise = rng.random((9, 8, 8), np.float32)
    table = resemblance_table({"teacher": teacher, "same": blind, "other": noise}, owner).set_index("model")
    assert list(table["reference"]) == ["teacher"] * 2
    assert tuple(table.loc["same", ["tiles", "missing"]]) == (8, 1)
    assert table.loc["same", "mean"] == pytest.approx(1)
    expected = np.array([rank_correlation(a, b) for a, b in zip(noise, teacher, strict=True)])
    assert table.loc["other", "mean"] == pytest.approx(expected.mean())
    assert tuple(table.loc["other", ["low", "high"]]) == pytest.approx(mean_interval([expected], [owner]))
