"""What builds the site: the reference leaves nothing out; a tutorial that does otherwise and a dead link are found."""

import re

import pytest

import hviskd
from building import session
from building.api import api_page
from building.check import problems
from building.commands import commands_page, walk
from building.keys import experiment_keys, method_options, preset_table, recipe_keys
from hviskd.distillation import METHODS
from hviskd.distillation.registry import PRESETS
from hviskd.experiments.design import Arm, Design
from hviskd.training import Recipe


def test_the_reference_of_commands_has_every_option_of_every_verb():
    sections = dict(re.findall(r"^## hviskd ([a-z -]+)\n(.*?)(?=^## |\Z)", commands_page(), re.DOTALL | re.MULTILINE))
    assert set(sections) == {" ".join(path) for path, _ in walk()}
    for path, verb in walk():
        for parameter in verb.params:
            for option in (*parameter.opts, *parameter.secondary_opts):
                assert not option.startswith("--") or option in sections[" ".join(path)], option


@pytest.mark.slow  # it imports every room
def test_the_reference_of_python_has_every_public_name_once():
    listed = re.findall(r"^:+\{py:(?:class|function)\} hviskd\.(\w+)", api_page(), re.MULTILINE)
    assert sorted(listed) == sorted(set(hviskd.__all__) - {"__version__"})


def test_the_reference_of_recipes_has_every_key_preset_and_method():
    keys = set(re.findall(r"^`(\w+)`$", recipe_keys() + "\n" + experiment_keys(), re.MULTILINE))
    assert keys == {*Recipe.model_fields, *Design.model_fields, *Arm.model_fields}
    assert re.findall(r"^\| `([\w-]+)` \|", preset_table(), re.MULTILINE) == list(PRESETS)
    assert re.findall(r"^### (\w+)$", method_options(), re.MULTILINE) == list(METHODS)


PAGE = """
```sh
hviskd recipes
```

<!-- prints: {} -->

```yaml
name: three
```

<!-- saved as: three.yaml -->

```python
print(open("three.yaml").read())
```

<!-- prints: three -->
<!-- shows: three.yaml -->
"""


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "KEPT", tmp_path / "kept")
    for name in session.SURROUNDINGS:
        monkeypatch.setenv(name, session.SURROUNDINGS[name])
    monkeypatch.setenv("HVISKD_CACHE", str(tmp_path))
    return tmp_path / "kept"


def test_a_tutorial_shows_what_its_blocks_print_and_draw(kept):
    page = PAGE.format("laptop")
    session.keep(page)
    shown = session.printed(page)
    assert "laptop\n" in shown.partition("```text")[2]
    assert "name: three\n```" in shown.rpartition("```text")[2]
    assert "(_session/three.yaml)" in shown
    assert "<!--" not in shown
    assert (kept / "three.yaml").is_file()


def test_a_tutorial_that_prints_something_else_fails(kept):
    with pytest.raises(session.UnlikeError, match="and not\ndesktop"):
        session.keep(PAGE.format("desktop"))


def test_what_a_site_loads_from_elsewhere_and_a_dead_link_are_found(tmp_path):
    (tmp_path / "llms.txt").write_text("[here](a.html) [there](b.html)")
    (tmp_path / "a.css").write_text("@import 'https://example.org/font.css'; p { background: url(a.png) }")
    (tmp_path / "a.html").write_text(
        '<img src="https://example.org/a.png"><script src="a.js"></script><h1 id="top">a</h1><a href="#top">top</a>'
        '<a href="#bottom">bottom</a><a href="b.html">b</a><a href="https://example.org">elsewhere</a>'
    )
    assert problems(tmp_path) == [
        "a.css: loads https://example.org/font.css",
        "a.html: leads to #bottom, a place that the page has not",
        "a.html: leads to b.html, which is not there",
        "a.html: loads https://example.org/a.png",
        "llms.txt: no b.html",
    ]
