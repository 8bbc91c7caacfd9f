"""Whichever engine runs a Model, it gives torch's probabilities, for any number of tiles."""

import numpy as np
import pytest
import torch

from hviskd.errors import HviskdError, ModelError
from hviskd.models.engines import open_engine
from hviskd.models.engines.by_openvino import has_openvino
from tests.models.make import make_model

ENGINES = [
    "onnxruntime",
    pytest.param("openvino", marks=pytest.mark.skipif(not has_openvino(), reason="OpenVINO is not installed")),
    "torch",
]


def random_tiles(count, tile_px=64, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (count, tile_px, tile_px, 3), dtype=np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_gives_what_torch_gives(model, name):
    tiles = random_tiles(11)
    expected = model.predict(tiles, device="cpu")
    assert np.ptp(expected, axis=0).max() > 0.01  # the tiles do differ, or the comparison would say little
    engine = open_engine(model, name, device="cpu", batch_size=4, threads=1)  # 11 = 4 + 4 + 3
    assert (engine.name, engine.precision, engine.device) == (name, "float32", "cpu")
    assert engine.largest_difference < 1e-5
    given = engine(tiles)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, expected, atol=1e-5)
    np.testing.assert_allclose(engine(tiles[:1]), expected[:1], atol=1e-5)
    np.testing.assert_allclose(engine(tiles[::-2]), expected[::-2], atol=1e-5)  # not contiguous
    np.testing.assert_array_equal(engine(tiles), given)  # nothing of the calls between is left
    assert engine(tiles[:0]).shape == (0, 4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "head", "tile_px"),
    [
        ("wrn_16_1", "gap", 64),
        ("vgg8", "grid", 64),
        ("mobilenet_v2", "grid", 75),
        ("shufflenet_v1", "gap", 64),
        ("shufflenet_v2", "grid", 75),
    ],
)
def test_every_family_of_networks_converts(tmp_path, network, head, tile_px):
    model = make_model(tmp_path / "model", network, head=head, tile_px=tile_px)
    tiles = random_tiles(3, tile_px)
    expected = model.predict(tiles, device="cpu")
    np.testing.assert_allclose(open_engine(model, "onnxruntime", threads=1)(tiles), expected, atol=1e-4)
    if has_openvino():
        np.testing.assert_allclose(open_engine(model, "openvino", batch_size=3)(tiles), expected, atol=1e-4)


def test_half_precision_is_near(model):
    tiles = random_tiles(5)
    engine = open_engine(model, precision="float16", device="cpu", threads=1)
    assert (engine.name, engine.precision) == ("torch", "float16")
    difference = np.abs(engine(tiles) - model.predict(tiles, device="cpu")).max()
    assert 0 < difference < 0.02


def test_the_model_is_left_as_it_was(model):
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    open_engine(model, "torch", precision="float16", device="cpu")
    after = model.network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_torch_keeps_its_threads(model):
    before = torch.get_num_threads()
    engine = open_engine(model, "torch", device="cpu", threads=before + 1)
    engine(random_tiles(2))
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("tiles", "found"),
    [
        (np.zeros((2, 32, 64, 3), np.uint8), "uint8"),
        (np.zeros((2, 64, 64, 3), np.float32), "float32"),
        (np.zeros((64, 64, 3), np.uint8), "uint8"),
    ],
)
def test_other_tiles_are_refused(model, tiles, found):
    with pytest.raises(ModelError, match=rf"needs uint8 tiles of shape \(B, 64, 64, 3\), not {found}"):
        open_engine(model, "torch", device="cpu")(tiles)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"engine": "tensorrt"}, "`engine='tensorrt'`: unknown; choose one of auto, onnxruntime, openvino, torch"),
        ({"precision": "int4"}, "`precision='int4'`: unknown"),
        ({"engine": "torch", "precision": "int8", "device": "cpu"}, "torch does not support int8"),
        ({"engine": "onnxruntime", "precision": "float16"}, "onnxruntime does not support float16"),
        ({"engine": "onnxruntime", "device": "meta"}, "onnxruntime runs on the CPU"),
        ({"precision": "int8"}, r"no int8 variant; make one with `quantize\(\)`"),
        ({"batch_size": 0}, "at least 1"),
        ({"threads": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_is_refused(model, asked, message):
    with pytest.raises(HviskdError, match=message):
        open_engine(model, **asked)


@pytest.mark.slow
def test_a_kept_file_of_other_weights_does_not_pass_the_check(tmp_path, monkeypatch, model):
    """As if a cache had been mixed up by hand: sound files, but not this Model's."""
    monkeypatch.setenv("HVISKD_CACHE", str(tmp_path / "cache"))
    other = make_model(tmp_path / "other", seed=7)
    for each in (model, other):
        open_engine(each, "onnxruntime")
    first, second = sorted((tmp_path / "cache" / "onnx").glob("*.onnx"))
    for one, another in ((first, second), (first.with_suffix(".json"), second.with_suffix(".json"))):
        exchanged = one.read_bytes()
        one.write_bytes(another.read_bytes())
        another.write_bytes(exchanged)
    with pytest.raises(ModelError, match=r"a probability differs from torch's by 0\.\d+, more than 0.001; use torch"):
        open_engine(model, "onnxruntime")
