"""The package as a whole: light to start, complete at the top, honest about what it is."""

import subprocess
import sys

import pytest

import hviskd

HEAVY = ("torch", "lightning", "pandas", "matplotlib", "scipy", "sklearn", "PIL", "openslide")


def modules_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import hviskd",
        "from typer.testing import CliRunner\nfrom hviskd.cli.app import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0",
        "from typer.testing import CliRunner\nfrom hviskd.cli.app import app\n"
        "assert CliRunner().invoke(app, ['distill', '--help']).exit_code == 0",
    ],
)
def test_starting_loads_nothing_heavy(code):
    assert modules_after(code).isdisjoint(HEAVY)


def test_drawing_and_reading_tiles_needs_no_torch_and_no_openslide():
    loaded = modules_after("from hviskd.tiles import TileSet, import_folder\nfrom hviskd.synthesis import draw_tile")
    assert loaded.isdisjoint({"torch", "openslide", "shapely", "imagecodecs"})


def test_training_needs_neither_openslide_nor_shapely_nor_imagecodecs():
    loaded = modules_after("from hviskd.training import train\nfrom hviskd.evaluation import evaluate")
    assert loaded.isdisjoint({"openslide", "shapely", "imagecodecs", "tifffile", "torchvision"})


def test_every_public_name_is_there():
    for name in hviskd.__all__:
        assert getattr(hviskd, name).__doc__ or name == "__version__"
        assert name in dir(hviskd)
    with pytest.raises(AttributeError, match="no attribute 'segmentt'"):
        _ = hviskd.segmentt
