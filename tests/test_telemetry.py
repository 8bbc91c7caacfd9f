"""Nothing reports home: no address is looked up, and files are written where the user asked and into known caches."""

import os
import re
import shutil
import subprocess
import sys

import matplotlib as mpl
import pytest

from tests.slides.make import stained, write_svs

JOB = """
import hviskd
tiles, teacher = hviskd.TileSet.open("tiles"), hviskd.load_model("teacher/model")
changes = {"epochs": 1, "batch_size": 16, "network": "resnet8", "network_arguments": {"stem_stride": 2}}
run = hviskd.train(hviskd.load_recipe(None, changes), tiles, "run")
hviskd.quantize(teacher, tiles, "int8", settings=hviskd.QuantizeSettings(tolerance_points=100))
maps = hviskd.MapSettings(mpp=1.0)
for engine, precision in (("onnxruntime", "float32"), ("openvino", "int8")):
    compute = hviskd.Compute(engine=engine, precision=precision)
    hviskd.segment_cohort("int8", "slides", f"maps-{engine}", settings=maps, compute=compute)
hviskd.write_report(["run", "maps-openvino"], "report.html")
"""
CACHES = {"hviskd", "matplotlib"}


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def traced(tmp_path_factory, tileset, teacher_run):
    """The whole job in a home of its own; every attempt to connect is noted where strace is installed."""
    folder = tmp_path_factory.mktemp("silent")
    home, place = folder / "home", folder / "place"
    home.mkdir()
    shutil.copytree(tileset.folder, place / "tiles")
    shutil.copytree(teacher_run.folder, place / "teacher")
    (place / "slides").mkdir()
    write_svs(place / "slides" / "S1.svs", stained((400, 600), 1.0, 0.7), mpp=1.0)
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"), "XDG_CONFIG_HOME": str(home / ".config")}
    environment.pop("MPLCONFIGDIR", None)
    shutil.copytree(mpl.get_cachedir(), home / ".cache" / "matplotlib")  # its list of fonts takes seconds
    trace = folder / "trace"
    strace = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=connect,sendto", "-o", str(trace)]
    command = [sys.executable, "-c", JOB]
    if shutil.which("strace"):
        command = strace + command
    subprocess.run(command, cwd=place, env=environment, check=True, capture_output=True, text=True)
    return home, place, trace


def test_no_file_is_written_elsewhere(traced):
    home, place, _ = traced
    assert (place / "report.html").is_file()
    written = [path.relative_to(home).parts for path in home.rglob("*") if path.is_file()]
    assert written  # the converted Model is kept
    assert {parts[0] for parts in written} <= {".cache", ".config"}
    assert {parts[1] for parts in written} <= CACHES


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_no_address_is_looked_up_or_reached(traced):
    calls = traced[2].read_text().splitlines()
    assert not [call for call in calls if re.search(r"sa_family=AF_INET6?\b", call)]
