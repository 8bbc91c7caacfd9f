"""A Model is converted once; what is kept is made anew when it is damaged, and never needed."""

import json
import shutil
import sys
from pathlib import Path

import onnx
import pytest

from hviskd.models import load_model
from hviskd.models.engines import open_engine
from hviskd.models.engines.conversion import onnx_of
from hviskd.storage import cache_folder


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HVISKD_CACHE", str(tmp_path / "own"))
    return tmp_path / "own"


@pytest.mark.slow
def test_what_is_kept_is_used_and_what_is_damaged_is_made_anew(model, own_cache):
    content = onnx_of(model)
    (file,) = own_cache.glob("onnx/*.onnx")
    assert file.read_bytes() == content
    written = file.stat().st_mtime_ns
    assert onnx_of(model) == content
    assert file.stat().st_mtime_ns == written

    file.write_bytes(content.replace(b"Softmax", b"Sigmoid"))
    assert b"Softmax" in onnx_of(model)
    assert b"Softmax" in file.read_bytes()
    file.with_suffix(".json").write_text("[1, 2")
    assert onnx_of(model)
    assert json.loads(file.with_suffix(".json").read_text())["made_from"]["weights"] == model.fingerprint


@pytest.mark.slow
def test_the_outcome_of_a_check_stands_beside_the_file(model, own_cache):
    engine = open_engine(model, "onnxruntime")
    (record,) = own_cache.glob("onnx/*.checks.json")
    ((what, difference),) = json.loads(record.read_text())["largest_difference_to_torch"].items()
    assert what.startswith(f"onnxruntime {engine.version}, float32, {engine.batch_size} tiles on ")
    assert difference == engine.largest_difference


@pytest.mark.slow
def test_one_file_takes_any_number_of_tiles_and_names_no_folder_of_ours(model):
    network = onnx.load_from_string(onnx_of(model))
    (given,), (taken,) = network.graph.input, network.graph.output
    assert [side.dim_param or side.dim_value for side in given.type.tensor_type.shape.dim] == ["batch", 64, 64, 3]
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [side.dim_param or side.dim_value for side in taken.type.tensor_type.shape.dim] == ["batch", 4]
    assert not any(node.op_type == "BatchNormalization" for node in network.graph.node)
    assert str(Path(__file__).parents[3]).encode() not in network.SerializeToString()


@pytest.mark.slow
def test_a_model_in_a_folder_that_cannot_be_written_runs(model, own_cache, tmp_path):
    folder = shutil.copytree(model.folder, tmp_path / "model")
    before = sorted(path.name for path in folder.iterdir())
    folder.chmod(0o555)
    try:
        open_engine(load_model(folder), "onnxruntime")
        assert sorted(path.name for path in folder.iterdir()) == before
    finally:
        folder.chmod(0o755)


@pytest.mark.slow
def test_where_nothing_can_be_kept_the_network_is_converted_each_time(model, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("HVISKD_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="set HVISKD_CACHE to a writable folder"):
        assert open_engine(model, "onnxruntime").largest_difference < 1e-5


@pytest.mark.skipif(sys.platform != "linux", reason="the place differs")
def test_the_cache_is_where_the_platform_wants_it(monkeypatch):
    monkeypatch.delenv("HVISKD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/hviskd")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "hviskd"
