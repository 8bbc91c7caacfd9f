"""The package as a whole: light to start, complete at the top, honest about what it is."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

import hviskd

HEAVY = ("torch", "lightning_fabric", "pandas", "matplotlib", "scipy", "sklearn", "PIL", "openslide")


def modules_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.slow
def test_starting_loads_nothing_heavy():
    loaded = modules_after(
        "import hviskd\nfrom typer.testing import CliRunner\nfrom hviskd.cli.app import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "assert 'pydantic' not in sys.modules\n"
        "assert CliRunner().invoke(app, ['distill', '--help']).exit_code == 0"
    )
    assert {"hviskd.cli.evaluate", "hviskd.cli.profile"} <= loaded  # as all verbs
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.slow
def test_drawing_and_reading_tiles_needs_no_torch_and_no_openslide():
    loaded = modules_after("from hviskd.tiles import TileSet, import_folder\nfrom hviskd.synthesis import draw_tile")
    assert loaded.isdisjoint({"torch", "openslide", "shapely", "imagecodecs"})


@pytest.mark.slow
def test_a_report_is_written_without_the_libraries_that_measure():
    loaded = modules_after(
        "from hviskd.reports.report import write_report\nfrom hviskd.evaluation.files import EVALUATION"
    )
    assert loaded.isdisjoint({"torch", "sklearn", "scipy.ndimage", "scipy.signal", "scipy.stats", "shapely"})


@pytest.mark.slow
def test_running_and_evaluating_a_model_reads_no_slide_and_draws_no_tissue():
    loaded = modules_after(
        "from hviskd.models.engines import open_engine\nfrom hviskd.models.export import export_model\n"
        "from hviskd.evaluation import evaluate"
    )
    assert loaded.isdisjoint({"openslide", "shapely", "imagecodecs", "tifffile", "torchvision"})
    assert not [name for name in loaded if name.startswith("hviskd.synthesis")]


def test_every_public_name_is_there():
    for name in hviskd.__all__:
        assert getattr(hviskd, name).__doc__ or name == "__version__"
        assert name in dir(hviskd)
    with pytest.raises(AttributeError, match="no attribute 'segmentt'"):
        _ = hviskd.segmentt


def test_a_module_is_what_its_path_says_and_never_the_function_it_exports():
    shadowed = []
    for found in pkgutil.walk_packages(hviskd.__path__, "hviskd."):
        if found.name != "hviskd.__main__":
            module = importlib.import_module(found.name)
            room, _, name = found.name.rpartition(".")
            shadowed += [found.name] if getattr(importlib.import_module(room), name) is not module else []
            shadowed += [found.name] if callable(getattr(module, name, None)) and room != "hviskd.cli" else []
    assert shadowed == []
