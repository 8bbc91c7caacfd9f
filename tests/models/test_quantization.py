"""The int8 variant names tiles as the float does, or is refused; what was changed since is refused too."""

import json
import shutil
from hashlib import sha256

import numpy as np
import onnx
import pytest

from hviskd.errors import DataError, ModelError
from hviskd.evaluation import evaluate
from hviskd.models import Compute, load_model, save_model
from hviskd.models.engines import open_engine
from hviskd.models.engines.by_openvino import has_openvino
from hviskd.models.prediction import predictor
from hviskd.models.quantization import QuantizeSettings, quantize
from hviskd.synthesis import draw_patient, draw_tile
from hviskd.tiles import TileSet, TileSetWriter, TileSource, new_card
from hviskd.tiles.card import Origin
from tests.conftest import CLASSES, write_tiles

pytestmark = pytest.mark.slow

INT8 = Compute(precision="int8")


@pytest.fixture
def copied(int8, tmp_path):
    return shutil.copytree(int8.folder, tmp_path / "copy")


def edit_card(folder, **changes):
    card = json.loads((folder / "model.json").read_text())
    card["int8"] |= changes
    (folder / "model.json").write_text(json.dumps(card))


def test_the_card_holds_what_can_be_measured_again(int8, teacher_run, tileset):
    record = int8.card.int8
    val = tileset.rows("val")
    assert (record.calibration_split, record.calibration_tiles, record.val_tiles) == ("train", 64, len(val))
    tiles, labels = np.asarray(tileset.pixels[val]), tileset.labels[val]
    from_float = teacher_run.chosen().predict(tiles).argmax(axis=1)
    from_int8 = open_engine(int8, precision="int8")(tiles).argmax(axis=1)
    assert record.top1_float == pytest.approx((from_float == labels).mean())
    assert record.top1_int8 == pytest.approx((from_int8 == labels).mean(), abs=1.5 / len(val))
    assert record.agreement > 0.9
    assert int8.fingerprint == teacher_run.chosen().fingerprint


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_both_engines_run_the_one_file(int8, tileset, name):
    if name == "openvino" and not has_openvino():
        pytest.skip("OpenVINO is not installed")
    tiles = np.asarray(tileset.pixels[:70])
    engine = open_engine(int8, name, precision="int8", batch_size=32, threads=1)
    assert engine.precision == "int8"
    given, exact = engine(tiles), int8.predict(tiles, device="cpu")
    assert 0 < np.abs(given - exact).mean() < 0.02
    np.testing.assert_allclose(given.sum(axis=1), 1, atol=1e-3)
    float32 = open_engine(int8, name, precision="float32", threads=1)
    np.testing.assert_allclose(float32(tiles), exact, atol=1e-5)


@pytest.mark.slow
def test_left_alone_the_faster_precision_runs_as_one_trial_found(int8, tmp_path, monkeypatch):
    monkeypatch.setenv("HVISKD_CACHE", str(tmp_path))
    chosen = open_engine(int8, threads=1)
    (record,) = tmp_path.glob("onnx/*.checks.json")
    content = json.loads(record.read_text())
    ((among, won),) = content["fastest"].items()
    assert among.split(" or ").index(won) == ["float32", "int8"].index(chosen.precision)
    for precision, stated in zip(("float32", "int8"), among.split(" or "), strict=True):
        record.write_text(json.dumps(content | {"fastest": {among: stated}}))
        assert open_engine(int8, threads=1).precision == precision


def test_an_evaluation_measures_it_where_asked(int8, teacher_run, tileset):
    models = [teacher_run.chosen(), int8]
    evaluation = evaluate(models, tileset, split="val", compute=INT8, replicates=100)
    assert [result.name for result in evaluation.models] == ["teacher", "teacher-int8"]
    assert [result.fingerprint for result in evaluation.models] == [int8.fingerprint, int8.card.int8.sha256]
    tiles = np.asarray(tileset.pixels[tileset.rows("val")])
    by_float, by_int8 = (result.probabilities for result in evaluation.models)
    np.testing.assert_array_equal(by_int8, open_engine(int8, precision="int8", batch_size=128)(tiles))
    np.testing.assert_array_equal(
        by_float, evaluate(int8, tileset, split="val", replicates=100).models[0].probabilities
    )
    assert (by_float != by_int8).any()
    with pytest.raises(ModelError, match=r"`quantize\(\)`"):
        evaluate(teacher_run.chosen(), tileset, compute=INT8)


def test_a_variant_whose_difference_was_measured_on_other_tiles_still_opens(int8, tmp_path):
    """As once on tissue drawn at the Model's own scale and size, when nothing was stored."""
    tile_px, rng = int8.card.tile_px, np.random.default_rng(0)
    drawn = np.stack(
        [draw_tile(n, draw_patient(n), tile_px=tile_px, mpp=int8.card.mpp, rng=rng) for n in range(7)]
        + [rng.integers(0, 256, (tile_px, tile_px, 3), dtype=np.uint8)]
    )
    exact = int8.predict(drawn, device="cpu")
    for name in ("onnxruntime", *(["openvino"] if has_openvino() else [])):
        difference = np.abs(open_engine(int8, name, precision="int8", threads=1)(drawn) - exact).max()
        record = int8.card.int8.model_copy(update={"largest_difference": float(difference)})
        card = int8.card.model_copy(update={"int8": record})
        old = save_model(int8.network, card, tmp_path / name, int8_onnx=int8.int8_onnx())
        assert open_engine(old, name, precision="int8", threads=1).largest_difference < difference + 0.05


def test_the_file_is_smaller_and_its_weights_keep_to_seven_bits(int8):
    content = int8.int8_onnx()
    assert len(content) < (int8.folder / "weights.safetensors").stat().st_size
    weights = [each for each in onnx.load_from_string(content).graph.initializer if each.data_type == 3 and each.dims]
    ranges = [np.abs(onnx.numpy_helper.to_array(each).astype(int)).max() for each in weights]
    assert 32 < max(ranges) <= 64


def test_without_a_train_split_it_calibrates_on_val_and_never_on_test(teacher_run, tmp_path):
    tiles = write_tiles(tmp_path / "tiles")
    table = tiles.table["split"]
    from hviskd.tiles.rows import write_rows

    write_rows(tiles.folder / "tiles.parquet", tiles.table.assign(split=table.replace("train", "test")), {"by": "hand"})
    told = []
    made = quantize(
        teacher_run,
        tiles.folder,
        tmp_path / "made",
        settings=QuantizeSettings(tolerance_points=100),
        progress=lambda *at: told.append(at),
    )
    assert {at for at in told if at[0] == at[1]} == {
        (48, 48, what) for what in ("calibrate", "evaluate float32", "evaluate int8")
    }
    assert made.card.int8.calibration_split == "val"
    assert made.card.int8.calibration_tiles == made.card.int8.val_tiles == 48
    write_rows(tiles.folder / "tiles.parquet", tiles.table.assign(split="test"), {"by": "hand"})
    with pytest.raises(DataError, match="no tiles in the val split"):
        quantize(teacher_run.chosen(), TileSet.open(tiles.folder), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_fall_is_refused_with_its_numbers(teacher_run, tileset, tmp_path):
    """Calibrated on black tiles only, the ranges do not hold what the val split needs."""
    card = new_card(CLASSES, tile_px=32, mpp=1.0, origin=Origin(verb="test", licence="CC0"))
    with TileSetWriter(tmp_path / "tiles", card, split_record={"by": "hand"}) as writer:
        for number in range(8):
            dark = np.full((32, 32, 3), number, np.uint8)
            writer.add(dark, file=f"dark-{number}", class_name="dark", source=TileSource(patient="P"), split="train")
        for row in tileset.rows("val"):
            name = CLASSES[tileset.labels[row]]
            writer.add(tileset.pixels[row], file=f"{row}", class_name=name, source=TileSource(patient="Q"), split="val")
    output = tmp_path / "made"
    numbers = r"on 48 validation tiles, top-1 is \d+\.\d% in float32 and \d+\.\d% in int8, a drop of \d+\.\d+ points"
    with pytest.raises(ModelError, match=numbers) as caught:
        quantize(teacher_run.chosen(), TileSet.open(tmp_path / "tiles"), output)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [tmp_path / "tiles"]


def test_tiles_of_another_kind_are_refused(model, tileset, tmp_path):
    with pytest.raises(ModelError, match=r"only the model has a, b, c, d; only the tiles have dark, middle, pale"):
        quantize(model, tileset, tmp_path / "made")


def test_what_stands_there_is_kept(int8, teacher_run, tileset):
    with pytest.raises(DataError, match="already exists"):
        quantize(teacher_run.chosen(), tileset, int8.folder)


def test_an_exchanged_int8_file_is_refused(copied):
    file = copied / "int8.onnx"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    with pytest.raises(ModelError, match=r"int8.onnx: does not match the fingerprint in model.json"):
        load_model(copied)
    file.unlink()
    with pytest.raises(ModelError, match=r"int8.onnx: missing; copy the whole Model folder"):
        load_model(copied)


def test_an_exchange_after_loading_is_noticed(copied):
    loaded = load_model(copied)
    (copied / "int8.onnx").write_bytes(b"other")
    with pytest.raises(ModelError, match="does not match the fingerprint"):
        open_engine(loaded, precision="int8")


def test_the_int8_variant_is_evaluated_only_if_asked_for(int8):
    for compute in (Compute("onnxruntime"), Compute("onnxruntime", precision="float32"), INT8):
        assert predictor(int8, compute).precision == ("int8" if compute is INT8 else "float32")


@pytest.mark.parametrize("kind", ["nonsense", "other classes", "weights elsewhere"])
def test_a_file_that_is_no_such_classifier_is_refused_whatever_the_card_says(copied, kind):
    content = (copied / "int8.onnx").read_bytes()
    if kind == "nonsense":
        content = b"nonsense"
    else:
        network = onnx.load_from_string(content)
        if kind == "other classes":
            network.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 7
        else:
            tensor = next(each for each in network.graph.initializer if each.dims)
            tensor.data_location = onnx.TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="../../secret")
        content = network.SerializeToString()
    (copied / "int8.onnx").write_bytes(content)
    edit_card(copied, sha256=sha256(content).hexdigest())
    with pytest.raises(ModelError, match=r"int8.onnx: not an? .*repeat `quantize\(\)`"):
        open_engine(load_model(copied))


def test_an_int8_file_of_other_weights_does_not_pass_the_check(copied):
    network = onnx.load_from_string((copied / "int8.onnx").read_bytes())
    for tensor in network.graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) > 1:
            turned = onnx.numpy_helper.to_array(tensor)[::-1]  # each filter is another's
            tensor.CopyFrom(onnx.numpy_helper.from_array(turned.copy(), tensor.name))
    content = network.SerializeToString()
    (copied / "int8.onnx").write_bytes(content)
    edit_card(copied, sha256=sha256(content).hexdigest())
    with pytest.raises(ModelError, match="a probability differs from torch's by"):
        open_engine(load_model(copied))


def test_a_damaged_record_is_named(copied):
    edit_card(copied, top1_int8=1.5)
    with pytest.raises(ModelError, match=r"model.json: int8.top1_int8"):
        load_model(copied)
