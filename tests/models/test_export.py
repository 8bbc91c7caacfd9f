"""What is exported gives the Model's probabilities in programs that know nothing of hviskd."""

import json
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hviskd.errors import DataError, ModelError
from hviskd.models.engines.by_openvino import has_openvino
from hviskd.models.export import export_formats, export_model
from hviskd.slides.stain import Stain
from tests.models.make import make_model
from tests.processes import start

needs_openvino = pytest.mark.skipif(not has_openvino(), reason="OpenVINO is not installed")
FORMATS = [pytest.param(name, marks=needs_openvino) if name == "openvino" else name for name in export_formats()]

# Each is run by itself, in a process where nothing of hviskd can be imported: `exported` and `tiles` (.npy or a folder
# of PNG) are paths, `probabilities` is what it gets.
READERS = {
    "onnx": """
import onnxruntime
session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
tiles = np.load(tiles)
probabilities = [session.run(["probabilities"], {"tiles": part})[0] for part in (tiles[:1], tiles[1:])]
""",
    "openvino": """
import openvino
network = openvino.Core().compile_model(exported + "/model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
tiles = np.load(tiles)
probabilities = [network(part)["probabilities"].copy() for part in (tiles[:1], tiles[1:])]
""",
    "torchscript": """
import torch
network = torch.jit.load(exported)
tiles = torch.from_numpy(np.load(tiles))
probabilities = [network(part).numpy() for part in (tiles[:1], tiles[1:])]
""",
    "wsinfer": """
import json, pathlib, torch
from PIL import Image
config = json.loads(pathlib.Path(exported, "config.json").read_text())
network = torch.jit.load(exported + "/torchscript_model.pt").eval()

def transformed(image):
    for step in config["transform"]:
        given = step.get("arguments", {})
        if step["name"] == "Resize":
            image = image.resize((given["size"], given["size"]), Image.Resampling.BILINEAR)
        elif step["name"] == "ToTensor":
            image = np.asarray(image, np.float32).transpose(2, 0, 1) / 255
        elif step["name"] == "Normalize":
            mean, std = (np.array(given[key], np.float32)[:, None, None] for key in ("mean", "std"))
            image = (image - mean) / std
    return image

images = np.stack([transformed(Image.open(file).convert("RGB")) for file in sorted(pathlib.Path(tiles).iterdir())])
with torch.no_grad():
    logits = network(torch.from_numpy(images)).numpy().astype(np.float64)
shares = np.exp(logits - logits.max(axis=1, keepdims=True))
probabilities = [shares / shares.sum(axis=1, keepdims=True)]
""",
}


def random_tiles(count=5, tile_px=64):
    return np.random.default_rng(3).integers(0, 256, (count, tile_px, tile_px, 3), dtype=np.uint8)


def alone(code, exported, tiles, output):
    """Run another program in this process."""
    warnings.simplefilter("ignore")
    for name in [name for name in sys.modules if name.partition(".")[0] == "hviskd"]:
        sys.modules[name] = None
    names = {"np": np, "exported": exported, "tiles": tiles}
    exec(code, names)
    np.save(output, np.concatenate(names["probabilities"]))


def run_alone(form, exported, tiles, folder):
    """Give the probabilities that another program gets from what was exported."""
    given = folder / "tiles"
    if form == "wsinfer":
        given.mkdir()
        for number, tile in enumerate(tiles):
            Image.fromarray(tile).save(given / f"{number}.png")
    else:
        given = given.with_suffix(".npy")
        np.save(given, tiles)
    said = folder / "said.txt"
    process = start(alone, READERS[form], str(exported), str(given), folder / "out.npy", says=said)
    process.join()
    assert process.exitcode == 0, said.read_text()
    return np.load(folder / "out.npy")


def everything_in(path):
    """Give the content of a file, or of all files in a folder, archives unpacked."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    content = b""
    for file in files:
        content += file.read_bytes()
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                content += b"".join(archive.read(name) for name in archive.namelist())
    return content


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_another_program_gets_the_same_probabilities(model, tmp_path, form):
    written = export_model(model, form, tmp_path / "deep" / "exported", mpp=None)
    assert written.largest_difference < 1e-5
    assert written.precision == "float32"
    tiles = random_tiles()
    given = run_alone(form, written.path, tiles, tmp_path)
    np.testing.assert_allclose(given, model.predict(tiles, device="cpu"), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_it_says_what_it_is_and_names_no_folder_of_the_user(model, tmp_path, form):
    content = everything_in(export_model(model, form, tmp_path / "exported").path)
    for said in (b"not a medical device", model.fingerprint.encode(), b"CC0"):
        assert said in content
    for folder in (Path.home(), Path(sys.prefix), Path(__file__).parents[2], model.folder, tmp_path):
        if folder != Path("/root"):  # a name that torch's own files hold
            assert str(folder).encode() not in content


@pytest.mark.slow
@pytest.mark.parametrize("network", ["mobilenet_v2", "shufflenet_v1", "shufflenet_v2", "wrn_16_1"])
def test_the_other_families_are_traced_rightly(tmp_path, network):
    model = make_model(tmp_path / "model", network, head="grid", tile_px=75, shortened=True)
    written = export_model(model, "wsinfer", tmp_path / "exported")  # checked with 8 tiles, traced with 2
    assert written.largest_difference < 1e-4


def check_wsinfer_config(config):
    """Hold a configuration against every rule of WSInfer's schema, version 1.0."""
    required = {
        "spec_version": str,
        "architecture": str,
        "num_classes": int,
        "patch_size_pixels": int,
        "spacing_um_px": (int, float),
        "class_names": list,
        "transform": list,
    }
    for key, kind in required.items():
        assert isinstance(config[key], kind), key
        assert not isinstance(config[key], bool), key
    assert config["spec_version"] == "1.0"
    assert config["num_classes"] >= 1
    assert config["patch_size_pixels"] >= 1
    assert config["spacing_um_px"] >= 0
    names = config["class_names"]
    assert all(isinstance(name, str) for name in names)
    assert len(set(names)) == len(names) == config["num_classes"]
    for step in config["transform"]:
        assert set(step) <= {"name", "arguments"}
        assert step["name"] in ("Resize", "ToTensor", "Normalize")
        assert isinstance(step.get("arguments", {}), dict)


@pytest.mark.slow
def test_wsinfer_gets_a_folder_that_its_schema_allows(model, tmp_path):
    folder = export_model(model, "wsinfer", tmp_path / "exported").path
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "torchscript_model.pt"]
    config = json.loads((folder / "config.json").read_text())
    check_wsinfer_config(config)
    assert (config["patch_size_pixels"], config["spacing_um_px"]) == (64, 0.5)
    assert config["class_names"] == ["a", "b", "c", "d"]
    assert [step["name"] for step in config["transform"]] == ["Resize", "ToTensor", "Normalize"]
    assert config["transform"][0]["arguments"] == {"size": 64}
    assert "not a medical device" in config["notice"]


@pytest.mark.slow
def test_without_a_resolution_wsinfer_is_refused_and_the_others_say_so(tmp_path):
    model = make_model(tmp_path / "model", mpp=None)
    with pytest.raises(ModelError, match=r"which WSInfer needs; give it with `mpp`"):
        export_model(model, "wsinfer", tmp_path / "exported")
    assert not (tmp_path / "exported").exists()
    export_model(model, "wsinfer", tmp_path / "exported", mpp=0.88)
    assert json.loads((tmp_path / "exported" / "config.json").read_text())["spacing_um_px"] == 0.88
    assert any("give `mpp`" in remark for remark in export_model(model, "torchscript", tmp_path / "t.pt").remarks)


@pytest.mark.parametrize(
    ("mpp", "error", "message"),
    [
        (0.25, ModelError, "was trained at 0.5 µm/px; omit `mpp=0.25`"),
        (0, DataError, "`mpp=0`: must be above 0 µm/px"),
        (-1, DataError, "`mpp=-1`: must be above 0 µm/px"),
    ],
)
def test_a_resolution_that_cannot_be_is_refused(model, tmp_path, mpp, error, message):
    with pytest.raises(error, match=message):
        export_model(model, "wsinfer", tmp_path / "exported", mpp=mpp)


def test_a_stain_an_icc_profile_and_an_unknown_licence_are_remarked(model, tmp_path):
    stain = Stain(method="reinhard", pixels=5000, lab_mean=(60.0, 10.0, -5.0), lab_sd=(5.0, 2.0, 2.0))
    licences = ({"what": "tiles x", "licence": None},)
    card = model.card.model_validate(model.card.model_dump() | {"stain": stain, "icc": True, "licences": licences})
    changed = type(model)(model.network, card, model.folder)
    stained, converted, licence = export_model(changed, "torchscript", tmp_path / "t.pt").remarks
    assert "stain-normalised tiles" in stained
    assert "converted to sRGB by ICC profile" in converted
    assert "unknown for tiles x" in licence


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", pytest.param("openvino", marks=needs_openvino)])
def test_an_int8_variant_is_exported_where_the_format_holds_it(int8, tileset, tmp_path, form):
    written = export_model(int8, form, tmp_path / "exported")
    assert written.precision == "int8"
    tiles = np.asarray(tileset.pixels[:20])
    given = run_alone(form, written.path, tiles, tmp_path)
    assert 1e-5 < np.abs(given - int8.predict(tiles, device="cpu")).max() < 0.15
    assert export_model(int8, "torchscript", tmp_path / "t.pt").precision == "float32"


@pytest.mark.slow
@pytest.mark.parametrize("form", [form for form in FORMATS if form != "torchscript"])  # a file as onnx is
def test_what_stands_there_is_replaced_only_when_asked(model, tmp_path, form):
    path = export_model(model, form, tmp_path / "exported").path
    before = everything_in(path)
    with pytest.raises(DataError, match="already exists; .* or pass `overwrite=True`"):
        export_model(model, form, path)
    assert everything_in(path) == before
    export_model(model, form, path, overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["exported"]


def test_a_folder_is_no_file(model, tmp_path):
    with pytest.raises(DataError, match="is a folder; name a file"):
        export_model(model, "onnx", tmp_path, overwrite=True)


def test_an_unknown_format_is_named(model, tmp_path):
    with pytest.raises(ModelError, match="`to='tflite'`: unknown; choose one of onnx, openvino, torchscript, wsinfer"):
        export_model(model, "tflite", tmp_path / "x")


@pytest.mark.slow
def test_weights_that_give_no_numbers_are_not_exported(model, tmp_path):
    import copy

    import torch

    network = copy.deepcopy(model.network)
    with torch.no_grad():
        network.head.classifier.bias[0] = float("nan")
    broken = type(model)(network, model.card, model.folder)
    with pytest.raises(ModelError, match="its export to torchscript, a probability differs .* nothing was written"):
        export_model(broken, "torchscript", tmp_path / "t.pt")
    assert list(tmp_path.iterdir()) == []
