"""A map of a slide is made without the libraries that take longer to load than a small slide to map."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.models.engines.plan import cpu_engine
from tests.segmentation.make import tissue_on_glass, write_model, write_slide

HEAVY = {"torch", "scipy", "pandas", "matplotlib", "sklearn", "onnx"}
SEGMENT = """
import sys
from hviskd.cli.app import app
app(["segment", *sys.argv[1:]], standalone_mode=False)
print("modules:", *sys.modules)
"""


@pytest.mark.slow
def test_nothing_heavy_is_loaded_for_a_model_that_was_run_before(tmp_path, monkeypatch):
    slide = str(write_slide(tmp_path / "first.svs", tissue_on_glass(500, 400)))
    words = [slide, "-m", str(write_model(tmp_path / "model").folder), "-o"]
    monkeypatch.setenv("HVISKD_CACHE", str(tmp_path / "cache"))
    assert CliRunner().invoke(app, ["segment", *words, str(tmp_path / "maps")]).exit_code == 0
    command = [sys.executable, "-c", SEGMENT, *words, str(tmp_path / "again")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "1 of 1 slides mapped" in done.stdout
    loaded = set(done.stdout.partition("modules:")[2].split())
    assert {"numpy", cpu_engine()} <= loaded
    assert loaded & HEAVY == set()
    files = {path.name for path in (tmp_path / "again" / "first").iterdir()}
    assert files == {path.name for path in (tmp_path / "maps" / "first").iterdir()}
    assert {"overview.png", "tiles.parquet", "first.geojson", "map.npz", "summary.json"} < files
