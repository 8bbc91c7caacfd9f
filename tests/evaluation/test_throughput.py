import numpy as np
import pytest
import torch

from hviskd.evaluation.throughput import machine, rates
from hviskd.models import load_model, save_model
from hviskd.models.engines.by_openvino import has_openvino
from hviskd.networks import create_network

from .conftest import CLASSES, colour_model, write_tiles


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rates")
    torch.manual_seed(0)
    card = colour_model(write_tiles(folder / "tiles", patients=1, tiles=1), name="small").card
    return save_model(create_network("resnet8", len(CLASSES)), card, folder / "small")


@pytest.mark.slow
def test_every_engine_is_measured_once_and_the_best_batch_is_one_that_was_tried(model):
    found, refused = rates(model, threads=1, seconds=0.05, batches=(1, 8))
    installed = ["torch", "onnxruntime"] + (["openvino"] if has_openvino() else [])
    assert [rate.engine for rate in found] == installed
    assert len(refused) == (0 if has_openvino() else 1)
    for rate in found:
        assert rate.best_batch in (1, 8)
        assert rate.best_batch <= rate.largest_batch
        assert rate.best >= rate.single > 0
        assert rate.milliseconds == pytest.approx(1000 / rate.best)
        assert rate.precision in ("float32", "float16")


def test_no_larger_batch_is_tried_where_time_is_short(model):
    found, _ = rates(model, threads=1, seconds=1e-6, batches=(1, 8, 32))
    assert {rate.largest_batch for rate in found} == {1}


def test_a_measurement_changes_no_weight(model):
    rates(model, threads=1, seconds=0.01, batches=(1,))
    tiles = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    again = load_model(model.folder).predict(tiles, device="cpu")
    assert np.allclose(model.predict(tiles, device="cpu"), again)


def test_the_machine_is_named():
    where = machine(threads=3)
    assert where.threads == 3
    assert where.cores >= 1
    assert where.cpu
    assert where.versions["torch"] == torch.__version__.split("+")[0] or where.versions["torch"] == torch.__version__
    assert where.cpu in str(where)
