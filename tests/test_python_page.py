"""The README's Python and the page on Python are true: the code runs, and the page lists what the package has."""

import re
from pathlib import Path

import pytest
import yaml

import hviskd
from tests.cutting.samples import BG, halves, tissue_slide, write_legend, write_mask
from tests.slides.make import stained, write_svs

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
CODE = BLOCK.findall(PAGE)


def test_it_lists_the_public_names_each_once():
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted(set(hviskd.__all__) - {"__version__"})


@pytest.mark.parametrize("name", sorted(set(hviskd.__all__) - {"__version__"}))
def test_every_name_has_an_example(name):
    assert re.search(rf"\bhviskd\.{name}\b", PAGE)
    if name != "run_demo":  # four minutes; the demo has tests of its own
        assert any(re.search(rf"\bhviskd\.{name}\b", block) for block in CODE)


def write_quick_recipe(changes):
    laptop = yaml.safe_load(hviskd.built_in_recipes()["laptop"])
    Path("quick.yaml").write_text(yaml.safe_dump(laptop | changes), encoding="utf-8")


@pytest.mark.slow
@pytest.mark.usefixtures("unpainted")
def test_the_session_runs(tmp_path, monkeypatch, capsys):
    """As it stands, but for a recipe with the smallest teacher."""
    monkeypatch.chdir(tmp_path)
    write_quick_recipe({"teacher": {"name": "resnet8"}})
    monkeypatch.setattr(
        "hviskd.installation.examining.probe",  # the tests of doctor try everything
        lambda _what, names, _seconds: {name: {"problem": None} for name in names},
    )
    names: dict[str, object] = {}
    for number, block in enumerate(CODE, start=1):
        block = block.replace('load_recipe("laptop"', 'load_recipe("quick.yaml"')
        exec(compile(block, f"block {number} of docs/python.md", "exec"), names)
    assert "mm² of tissue" in capsys.readouterr().out
    assert (tmp_path / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("unpainted")
def test_the_readme_s_python_runs(tmp_path, monkeypatch):
    """As it stands, but for a recipe of two epochs and the smallest teacher, which learns glass from tissue in them."""
    monkeypatch.chdir(tmp_path)
    classes = halves(750, 450, 450)
    classes[:, :160] = BG
    for patient in range(5):
        image = tissue_slide(750, 450, patient, glass_px=160)
        image[:, 450:] = stained((450, 300), 1.5, 0.7, patient)  # what is drawn green is richer
        write_svs(Path(f"slides/P{patient}-1.svs"), image, quality=None, levels=2, factor=4)
        write_mask(Path(f"drawn/P{patient}-1_L.png"), classes)
    write_legend(Path()).rename("my.yaml")
    Path("patients.csv").write_text("slide,patient\n" + "".join(f"P{n}-1,P{n}\n" for n in range(5)))
    write_quick_recipe({"epochs": 2, "batch_size": 8, "teacher": {"name": "resnet8"}})
    (code,) = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    exec(compile(code.replace('"laptop"', '"quick.yaml"'), "README.md", "exec"), {})
    assert len(list(Path("maps").glob("*/summary.json"))) == 5
    assert Path("report.html").is_file()
