"""The threshold of a first pass keeps what it promises, stands on the card, and every engine reads low power."""

import numpy as np
import pytest

from hviskd.models import load_model, save_model
from hviskd.models.coarse_to_fine import FIRST_PASS, coarse_to_fine_record
from hviskd.models.engines import open_engine
from hviskd.tiles.low_power import at_low_power

from .make import make_model


def drawn(tiles=400, seed=0):
    """Probabilities at full power, and at low power, where they are wrong the more often the lower they are."""
    rng = np.random.default_rng(seed)
    full = rng.dirichlet([0.3] * 4, tiles).astype(np.float32)
    first = 0.7 * full + 0.3 * rng.dirichlet([0.3] * 4, tiles).astype(np.float32)
    return first.round(2), full  # rounded, so that some are alike


def record_of(first, full, **asked):
    return coarse_to_fine_record(first, full, data="tiles", data_fingerprint="0", **asked)


@pytest.mark.parametrize("required", [0.9, 0.99, 1.0])
def test_the_threshold_is_the_lowest_that_keeps_its_promise(required):
    first, full = drawn()
    record = record_of(first, full, required=required)
    top, same = first.max(axis=1), first.argmax(axis=1) == full.argmax(axis=1)

    def agreement(threshold):  # tile by tile
        return np.mean([high < threshold or alike for high, alike in zip(top, same, strict=True)])

    assert agreement(np.float32(record.unsure_below)) == pytest.approx(record.agreement)
    assert record.agreement >= required
    lower = [value for value in top if value < record.unsure_below]
    assert record.closely == pytest.approx(len(lower) / len(top))
    assert all(agreement(value) < required for value in lower)
    assert same.mean() < required  # or there would have been nothing to find


def test_the_curve_goes_from_one_pass_to_almost_two():
    record = record_of(*drawn())
    assert record.curve[0].closely == 0
    assert record.curve[0].cost == FIRST_PASS
    assert 0.9 < record.curve[-1].closely <= 0.96
    for name in ("unsure_below", "closely", "agreement"):
        values = [getattr(point, name) for point in record.curve]
        assert values == sorted(values)


def test_there_is_no_threshold_where_the_surest_are_wrong():
    full = np.eye(3, dtype=np.float32)[[0, 1, 2] * 20]
    assert record_of(np.roll(full, 1, axis=1), full) is None
    assert record_of(full, full).closely == 0


def test_the_record_stands_on_the_card(tmp_path):
    model = make_model(tmp_path / "plain")
    assert load_model(tmp_path / "plain").card.coarse_to_fine is None
    record = record_of(*drawn())
    save_model(model.network, model.card.model_copy(update={"coarse_to_fine": record}), tmp_path / "both")
    assert load_model(tmp_path / "both").card.coarse_to_fine == record
    assert f"{record.agreement:.1%} get the class of a full pass" in str(record)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnxruntime", "torch"])
def test_engines_read_low_power(tmp_path, name, monkeypatch):
    monkeypatch.setenv("HVISKD_CACHE", str(tmp_path / "cache"))
    model = make_model(tmp_path / "model")
    tiles = at_low_power(np.random.default_rng(1).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8))
    engine = open_engine(model.folder, name, threads=1, low_power=True)
    assert (engine.tile_px, model.at_low_power().card.mpp) == (32, 1.0)
    np.testing.assert_allclose(engine(tiles), model.at_low_power().predict(tiles), atol=1e-4)
