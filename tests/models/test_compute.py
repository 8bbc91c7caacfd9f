"""What is computed is the same with every engine, and where an int8 variant is missing."""

import numpy as np
import pytest
import torch

from hviskd.errors import DataError, HviskdError
from hviskd.models import Compute, pick_device
from hviskd.models.prediction import predictor, tiles_per_call
from tests.models.make import make_model


@pytest.mark.parametrize("name", ["batch_size", "threads", "workers"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(DataError, match=f"`{name}=0`: must be at least 1"):
        Compute(**{name: 0})


@pytest.mark.parametrize(
    ("compute", "count"),
    [
        (Compute(device="cpu"), 128),
        (Compute(device="cpu", batch_size=7), 7),
        (Compute("onnxruntime", batch_size=2, threads=3), 48),
        (Compute("torch", device="cpu", threads=2), 128),
    ],
)
def test_all_threads_of_an_engine_are_given_tiles(tmp_path, compute, count):
    model = make_model(tmp_path / "model", tile_px=32)
    assert tiles_per_call(predictor(model, compute), compute) == count


@pytest.mark.slow
def test_tiles_are_classified_by_the_engine_that_is_asked_for(tmp_path):
    model = make_model(tmp_path / "model", tile_px=32)
    tiles = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    expected = model.predict(tiles, device="cpu")
    for compute in (
        Compute(device="cpu"),
        Compute(precision="int8", device="cpu"),
        Compute("onnxruntime", batch_size=2),
    ):
        np.testing.assert_allclose(predictor(model, compute)(tiles), expected, atol=1e-4)
    assert predictor(model, Compute("onnxruntime")).name == "onnxruntime"
    by_two = predictor(model, Compute(device="cpu", threads=2))
    assert (by_two.name, by_two.precision, by_two.threads) == ("torch", "float32", 2)


def test_a_device_that_is_not_there_is_refused_with_those_that_are():
    there = ["auto", "cpu"] + ["cuda"] * torch.cuda.is_available() + ["mps"] * torch.backends.mps.is_available()
    with pytest.raises(HviskdError, match=f"device 'moon' .* choose one of {', '.join(there)}$"):
        pick_device("moon")
