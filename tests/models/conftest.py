import os
from functools import cache

import pytest
from torch.onnx._internal.exporter._registration import ONNXRegistry

from hviskd.models.engines import conversion, kept
from hviskd.models.quantization import QuantizeSettings, quantize
from tests.models.make import make_model


@pytest.fixture(scope="session", autouse=True)
def own_folder_of_networks(tmp_path_factory):
    """Converted networks go to a folder of the tests' own, which processes that share the tests share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HVISKD_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def converted_once():
    """To convert a network takes seconds; also where a test has a cache of its own, the same one is converted once."""
    done, convert = {}, conversion.convert

    def convert_once(model):
        key = repr(kept._source(model.card))
        if key not in done:
            done[key] = convert(model)
        return done[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversion, "convert", convert_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def one_table_of_operators():
    """For each network, torch's exporter lists all operators it knows, which takes as long as to convert a resnet8."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(cache(ONNXRegistry.from_torchlib)))
        yield


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A resnet8 of four classes that reads tiles of 64 px at 0.5 µm/px; its weights are drawn."""
    return make_model(tmp_path_factory.mktemp("model") / "resnet8")


@pytest.fixture(scope="session")
def int8(teacher_run, tileset, tmp_path_factory):
    """The shared teacher with an int8 variant."""
    folder = tmp_path_factory.mktemp("int8") / "model"
    return quantize(teacher_run.chosen(), tileset, folder, settings=QuantizeSettings(64, 5))
