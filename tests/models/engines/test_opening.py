"""Whichever engine runs a Model, it gives torch's probabilities, for any number of tiles."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hviskd.errors import HviskdError, ModelError
from hviskd.models.device import may_have_gpu
from hviskd.models.engines import by_openvino, open_engine, plan, trial
from hviskd.models.engines.by_openvino import has_openvino, openvino_runner
from hviskd.models.engines.conversion import convert, onnx_of
from hviskd.models.engines.kept import keep_onnx
from hviskd.models.engines.plan import possible_plans
from hviskd.models.engines.trial import fastest
from hviskd.processor import usable_cpus
from tests.models.make import make_model
from tests.processes import start

NEEDS_OPENVINO = pytest.mark.skipif(not has_openvino(), reason="OpenVINO is not installed")
ENGINES = [
    "onnxruntime",
    pytest.param("openvino", marks=NEEDS_OPENVINO),
    "torch",
]

THREADS = Path("/proc/self/task")


def raise_error(text):
    raise RuntimeError(text)


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


@NEEDS_OPENVINO
def test_openvino_runs_on_after_a_batch_that_failed(model, monkeypatch):
    import openvino

    engine, tiles = open_engine(model, "openvino", batch_size=2, threads=2), random_tiles(7)
    expected = engine(tiles)
    with monkeypatch.context() as patched, pytest.raises(RuntimeError, match="no more"):
        patched.setattr(openvino.InferRequest, "infer", lambda _: raise_error("no more"))
        engine(tiles)
    with ThreadPoolExecutor(1) as pool:
        np.testing.assert_array_equal(pool.submit(engine, tiles).result(timeout=60), expected)


@pytest.mark.parametrize("name", ENGINES)
def test_batches_that_are_computed_at_once_keep_their_order(model, name):
    tiles = random_tiles(61)
    expected = model.predict(tiles, device="cpu")
    assert np.ptp(expected, axis=0).max() > 0.01
    engine = open_engine(model, name, device="cpu", batch_size=2, threads=3)
    assert (engine.parallel_batches, engine.tiles_per_call) == ((1, 16) if name == "torch" else (3, 48))
    for _ in range(3):
        np.testing.assert_allclose(engine(tiles), expected, atol=1e-5)


@NEEDS_OPENVINO
def test_one_batch_is_over_before_threads_share_an_engine_of_openvino(model, monkeypatch):
    import openvino

    infer, ran = openvino.InferRequest.infer, []

    def counted(request, *inputs, **how):
        assert by_openvino._FIRST_USE.locked()
        infer(request, *inputs, **how)
        ran.append(threading.get_ident())

    monkeypatch.setattr(openvino.InferRequest, "infer", counted)
    openvino_runner(onnx_of(model), batch_size=2, tile_px=64, parallel_batches=3)
    assert ran == [threading.get_ident()]


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.skipif(usable_cpus() < 2 or not THREADS.is_dir(), reason="needs two CPUs, and Linux's list of threads")
def test_no_engine_binds_its_threads_to_one_cpu(model, name):
    engine, tiles = open_engine(model, name, device="cpu", threads=1), random_tiles(150)
    seen, done = set(), threading.Event()

    def look():
        while not done.wait(0.001):
            for thread in THREADS.iterdir():
                with suppress(OSError):  # it has ended
                    seen.add(frozenset(os.sched_getaffinity(int(thread.name))))

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        engine(tiles)
        done.set()
        looking.result()
    assert seen == {frozenset(os.sched_getaffinity(0))}  # two processes would share the first CPU


@pytest.mark.parametrize(("batch_size", "threads", "wanted"), [(None, 2, 160), (1, 3, 24), (30, 1, 60), (999, 2, 1998)])
def test_as_many_tiles_are_wanted_as_keep_all_threads_busy(model, batch_size, threads, wanted):
    engine = open_engine(model, "onnxruntime", batch_size=batch_size, threads=threads)
    assert engine.tiles_per_call == wanted


def test_a_cpu_runs_the_fastest_engine_that_is_installed(model, monkeypatch):
    (chosen,) = possible_plans(model.card, "auto", "auto", "cpu", None, None)
    assert chosen.name == ("openvino" if has_openvino() else "onnxruntime")
    monkeypatch.setattr(plan, "has_openvino", lambda: False)
    (chosen,) = possible_plans(model.card, "auto", "auto", "cpu", None, 2)
    assert (chosen.name, chosen.precision, chosen.parallel_batches) == ("onnxruntime", "float32", 2)


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
    model = make_model(tmp_path / "model", network, head=head, tile_px=tile_px, shortened=True)
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


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HVISKD_CACHE", str(tmp_path / "own"))
    return tmp_path / "own" / "onnx"


@pytest.fixture
def other(tmp_path):
    return make_model(tmp_path / "other", seed=7)


@pytest.mark.slow
def test_files_of_other_weights_under_this_models_name_are_made_anew(model, other, own_cache):
    """As if a cache had been mixed up by hand: sound files, but not this Model's."""
    tiles = random_tiles(5)
    given = [open_engine(each, "onnxruntime")(tiles) for each in (model, other)]
    first, second = sorted(own_cache.glob("*.onnx"))
    for suffix in (".onnx", ".json", ".checks.json"):
        one, another = first.with_suffix(suffix), second.with_suffix(suffix)
        exchanged = one.read_bytes()
        one.write_bytes(another.read_bytes())
        another.write_bytes(exchanged)
    for each, expected in zip((model, other), given, strict=True):
        np.testing.assert_array_equal(open_engine(each, "onnxruntime")(tiles), expected)


@pytest.mark.slow
def test_a_kept_file_of_other_weights_does_not_pass_the_check(model, other, own_cache):
    """As if a cache had been mixed up with care, so that its notes tell nothing of it."""
    keep_onnx(model.card, onnx_of(other))
    with pytest.raises(ModelError, match=r"a probability differs from torch's by 0\.\d+, more than 0.001; use torch"):
        open_engine(model, "onnxruntime")
    with pytest.raises(ModelError, match="a probability differs from torch's by"):  # what failed is not trusted later
        open_engine(model, "onnxruntime")
    keep_onnx(model.card, convert(model))  # nor is what failed held against the file that is right
    right = open_engine(model, "onnxruntime")
    assert right.largest_difference < 1e-5
    keep_onnx(model.card, onnx_of(other))  # nor does a file pass because another did
    with pytest.raises(ModelError, match="a probability differs from torch's by"):
        open_engine(model, "onnxruntime")


@pytest.mark.slow
@pytest.mark.parametrize(
    "damaged",
    [
        {"answers": []},
        {"answers": [[0.25, 0.25, 0.25, 0.25]]},  # one row would be broadcast over all
        {"answers": [[0.25, 0.25], [1.0]]},
        {"answers": [[float("nan")] * 4] * 8},
        {"answers": {"a": 1}},
        {"largest_difference_to_torch": []},
        {"largest_difference_to_torch": "none"},
    ],
    ids=str,
)
def test_a_damaged_record_is_found_out_again(model, own_cache, damaged):
    first = open_engine(model, "onnxruntime", batch_size=4)
    (record,) = own_cache.glob("*.checks.json")
    content = json.loads(record.read_text())
    record.write_text(json.dumps({**content, "largest_difference_to_torch": {}} | damaged))
    assert open_engine(model, "onnxruntime", batch_size=4).largest_difference == first.largest_difference
    assert json.loads(record.read_text()) == content


@pytest.mark.parametrize("found", [float("nan"), -1.0, 0.5, True, "0", [0.0], None])
def test_a_recorded_difference_is_trusted_only_if_it_would_pass(model, own_cache, found):
    first = open_engine(model, "onnxruntime", batch_size=4)
    (record,) = own_cache.glob("*.checks.json")
    content = json.loads(record.read_text())
    ((what, difference),) = content["largest_difference_to_torch"].items()
    assert difference == first.largest_difference
    record.write_text(json.dumps(content | {"largest_difference_to_torch": {what: found}}))
    assert open_engine(model, "onnxruntime", batch_size=4).largest_difference == difference
    assert json.loads(record.read_text()) == content


# Opens a Model that was opened before, with batches of another size too, and as if on another CPU.
OPEN_AGAIN = """
import json, sys
from pathlib import Path
from hviskd.models.engines import open_engine
from hviskd.processor import cpu_kind

folder, record = map(Path, sys.argv[1:])
again, by_three = (open_engine(folder, "onnxruntime", batch_size=count).largest_difference for count in (4, 3))
content = json.loads(record.read_text())
ours = content["largest_difference_to_torch"]
assert len(ours) == 2
moved = {what.replace(cpu_kind(), "another"): 0.5 for what in ours}
record.write_text(json.dumps(content | {"largest_difference_to_torch": moved}))
elsewhere = open_engine(folder, "onnxruntime", batch_size=4).largest_difference
print("torch" in sys.modules, again, elsewhere)
"""


def convert_and_tell(folder, file):
    file.write_text(str(open_engine(folder, "onnxruntime", batch_size=4).largest_difference))


@pytest.mark.slow
def test_a_conversion_is_quiet_and_its_check_trusted_without_torch_until_something_changes(model, own_cache, tmp_path):
    process = start(convert_and_tell, model.folder, tmp_path / "first", says=tmp_path / "said")
    process.join()
    assert (process.exitcode, (tmp_path / "said").read_text()) == (0, "")
    first = float((tmp_path / "first").read_text())
    assert first < 1e-5
    (record,) = own_cache.glob("*.checks.json")
    content = json.loads(record.read_text())
    command = [sys.executable, "-c", OPEN_AGAIN, str(model.folder), str(record)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert done.stderr == ""
    loads_torch, *differences = done.stdout.split()
    assert loads_torch == "False"
    assert [float(each) for each in differences] == [first, pytest.approx(first, abs=1e-6)]
    record.write_text("damaged")
    assert open_engine(model.folder, "onnxruntime", batch_size=4).largest_difference == first
    assert json.loads(record.read_text()) == content


@pytest.mark.slow
def test_without_torch_a_damaged_or_changed_model_is_still_refused(model, own_cache, tmp_path):
    open_engine(model, "onnxruntime")
    for file, changed in (
        ("weights.safetensors", lambda old: old[:-1] + bytes([old[-1] ^ 1])),
        ("model.json", swapped),
    ):
        folder = shutil.copytree(model.folder, tmp_path / file)
        (folder / file).write_bytes(changed((folder / file).read_bytes()))
        with pytest.raises(ModelError, match=r"does not match the fingerprint|was changed"):
            open_engine(folder, "onnxruntime")


def swapped(card):
    """Two names of classes exchanged: the network is the same, what it says is not."""
    return card.replace(b'"a",', b'"?",').replace(b'"b",', b'"a",').replace(b'"?",', b'"b",')


def test_the_faster_of_two_wins_a_trial(model):
    class Waiting:
        def __init__(self, seconds):
            self.seconds = seconds

        def __call__(self, tiles):
            time.sleep(self.seconds)

    assert fastest([Waiting(0.003), Waiting(0.001)], random_tiles(1), seconds=0.02) == 1
    assert fastest([Waiting(0.001), Waiting(0.003)], random_tiles(1), seconds=0.02) == 0


@pytest.mark.parametrize(
    ("milliseconds", "place"),
    [((110, 99), 1), ((110, 101), 0), ((110, 110), 0), ((99, 110), 0), ((110, 90, 80), 2), ((110, 109, 108), 0)],
)
def test_only_an_engine_that_is_clearly_faster_replaces_the_first(monkeypatch, milliseconds, place):
    clock = SimpleNamespace(now=0, perf_counter=lambda: clock.now / 1000)
    monkeypatch.setattr(trial, "time", clock)

    def taking(spent):
        def run(tiles):
            clock.now += spent

        return run

    assert fastest([taking(spent) for spent in milliseconds], random_tiles(1)) == place


def test_where_torch_sees_a_gpu_the_files_of_its_driver_are_there():
    assert may_have_gpu() or not (torch.cuda.is_available() or torch.backends.mps.is_available())
