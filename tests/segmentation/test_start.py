"""A map of a slide is made without the libraries that take longer to load than a small slide to map."""

import os
import subprocess
import sys

import pytest

from tests.segmentation.make import tissue_on_glass, write_model, write_slide

HEAVY = {"torch", "scipy", "pandas", "matplotlib", "sklearn", "onnx"}
SEGMENT = """
import sys
from hviskd.cli.app import app
app(["segment", *sys.argv[1:]], standalone_mode=False)
print("modules:", *sys.modules)
"""


@pytest.mark.slow
def test_nothing_heavy_is_loaded_for_a_model_that_was_run_before(tmp_path):
    slide = write_slide(tmp_path / "first.svs", tissue_on_glass(500, 400))
    model = write_model(tmp_path / "model").folder
    environment = os.environ | {"HVISKD_CACHE": str(tmp_path / "cache")}

    def loaded(output):
        command = [sys.executable, "-c", SEGMENT, slide, "-m", model, "-o", tmp_path / output]
        done = subprocess.run(map(str, command), env=environment, capture_output=True, text=True, check=True)
        assert "1 of 1 slides mapped" in done.stdout
        return set(done.stdout.partition("modules:")[2].split())

    assert "torch" in loaded("maps")
    assert loaded("again") & HEAVY == set()
    files = {path.name for path in (tmp_path / "again" / "first").iterdir()}
    assert files == {path.name for path in (tmp_path / "maps" / "first").iterdir()}
    assert {"overview.png", "tiles.parquet", "first.geojson", "map.npz", "summary.json"} < files
