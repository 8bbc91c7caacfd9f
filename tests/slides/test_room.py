"""What the room costs before it is used."""

import subprocess
import sys
from types import ModuleType

import pytest

import hviskd.slides

HEAVY = "{'torch', 'openslide', 'tifffile', 'scipy', 'matplotlib', 'pandas', 'PIL'}"


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_the_room_loads_nothing_heavy():
    assert run(f"import sys, hviskd.slides; print({HEAVY} & set(sys.modules))") == "set()"


def test_opening_a_slide_loads_neither_scipy_nor_torch():
    code = (
        "import sys; from hviskd.slides import open_slide; print({'torch', 'scipy', 'matplotlib'} & set(sys.modules))"
    )
    assert run(code) == "set()"


@pytest.mark.slow
def test_synthetic_tissue_is_drawn_without_openslide():
    code = "import sys; from hviskd.synthesis import tissue; print('openslide' in sys.modules)"
    assert run(code) == "False"


@pytest.mark.parametrize("name", hviskd.slides.__all__)
def test_every_name_stands_for_a_thing_and_not_for_the_module_it_is_in(name):
    import hviskd.slides.surveying
    import hviskd.slides.transfer

    assert not isinstance(getattr(hviskd.slides, name), ModuleType)


def test_another_name_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'open_sled'"):
        _ = hviskd.slides.open_sled
