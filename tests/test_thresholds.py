"""Otsu's threshold against his other definition, tried out threshold by threshold."""

import numpy as np
import pytest

from hviskd.thresholds import otsu


def test_otsu_minimises_the_spread_within_the_groups():
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(0.1, 0.05, 3000), rng.normal(0.6, 0.1, 1000)]).astype(np.float32)
    tried = np.linspace(values.min(), values.max(), 257)[1:-1]
    within = [
        (values <= t).sum() * values[values <= t].var() + (values > t).sum() * values[values > t].var() for t in tried
    ]
    step = float(tried[1] - tried[0])
    assert otsu(values) == pytest.approx(float(tried[int(np.argmin(within))]), abs=2 * step)
    assert otsu(values.reshape(80, 50), (0, 1)) == pytest.approx(otsu(values), abs=2 / 256)


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_one_value_alone_has_a_threshold_too(value):
    assert np.isfinite(otsu(np.full((5, 5), value)))
    assert otsu(np.full((5, 5), value), (0, 1)) == 1 / 256
