"""What builds the site: the reference leaves nothing out; a tutorial that does otherwise and a dead link are found."""

import json
import re

import pytest

import hviskd
from building import hand, session
from building.api import api_page
from building.check import problems
from building.commands import commands_page, walk
from building.keys import experiment_keys, method_options, preset_table, recipe_keys
from building.steps import parts
from hviskd.distillation import METHODS
from hviskd.distillation.registry import PRESETS
from hviskd.experiments.design import Arm, Design
from hviskd.training import Recipe
from tests.pages import ROOT


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


PAGE = """# Recipes

There are [some](recipes.md).

```
hviskd demo
```

```sh
hviskd recipes
```

<!-- prints: {} -->

```sh
hviskd recipes \\
    nothing
```

<!-- ends with: 2 -->
<!-- prints: not a built-in recipe -->

```yaml
name: three
```

<!-- saved as: three.yaml -->

```python
print(open("three.yaml").read())
```

<!-- prints: three -->
<!-- shows: three.yaml -->

The end.
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
    session.keep({"a": page})
    shown = session.printed("a", page)
    assert "laptop\n" in shown.partition("```text")[2]
    assert "name: three\n```" in shown.rpartition("```text")[2]
    assert "(_session/a-three.yaml)" in shown
    assert "<!--" not in shown
    assert shown.startswith("# Recipes\n\n{download}`")
    assert shown.endswith("\n\nThe end.\n")
    assert (kept / "a-three.yaml").is_file()


def test_a_tutorial_is_a_notebook_with_the_same_outputs(kept):
    page = PAGE.format("laptop")
    session.keep({"a": page})
    cells = json.loads((kept / "a.ipynb").read_text(encoding="utf-8"))["cells"]
    assert [cell["source"] for cell in cells] == [
        "# Recipes\n\nThere are some.\n\n```\nhviskd demo\n```",
        "!hviskd recipes",
        "!hviskd recipes nothing",
        "%%writefile three.yaml\nname: three\n",
        'print(open("three.yaml").read())',
        "The end.",
    ]
    assert [cell["cell_type"] for cell in cells] == ["markdown", *["code"] * 4, "markdown"]
    printed, refused, saved, read = (cell["outputs"] for cell in cells[1:-1])
    assert "laptop" in printed[0]["text"]
    assert "not a built-in recipe" in refused[0]["text"]
    assert saved == []
    assert read[0] == {"output_type": "stream", "name": "stdout", "text": "name: three\n"}


def test_tutorials_go_on_in_one_folder_and_run_again_only_when_one_changes(kept):
    made = "# A\n\n```yaml\nname: one\n```\n\n<!-- saved as: a.yaml -->\n"
    read = "# B\n\n```python\nprint(open('a.yaml').read())\n```\n\n<!-- prints: one -->\n"
    session.keep({"a": made, "b": read})
    (kept / "b.ipynb").unlink()
    session.keep({"a": made, "b": read})
    assert not (kept / "b.ipynb").is_file()
    session.keep({"a": made, "b": f"{read}\nMore.\n"})
    assert (kept / "b.ipynb").is_file()


def test_a_tutorial_that_prints_something_else_fails(kept):
    with pytest.raises(session.UnlikeError, match=r"docs/a.md: hviskd recipes\n(.|\n)*and not\ndesktop"):
        session.keep({"a": PAGE.format("desktop")})


def test_a_command_that_ends_otherwise_than_the_page_says_fails(kept):
    with pytest.raises(session.UnlikeError, match="ended with 2"):
        session.keep({"a": PAGE.format("laptop").replace("<!-- ends with: 2 -->\n", "")})


@pytest.mark.parametrize("name", session.TUTORIALS)
def test_every_step_of_a_tutorial_says_what_is_expected_of_it(name):
    page = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    steps = [part for part in parts(page) if not isinstance(part, str)]
    assert len(steps) >= 5
    for step in steps:
        assert step.note("saved as" if step.kind == "yaml" else "prints"), step.text
        assert all(line.startswith("hviskd ") for line in step.commands if step.kind == "sh")
        assert hand.at_work(step.note("meanwhile"))
    text = "".join(part for part in parts(page) if isinstance(part, str))
    assert "<!--" not in text, "a comment that belongs to no block"
    assert not re.search(r"^```(sh|python)$", text, re.MULTILINE), "a block that nobody runs"


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
