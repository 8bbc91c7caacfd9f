"""How the library's parameters are spelled on a terminal."""

import ast
import re
from pathlib import Path

import pytest
import typer

import hviskd
from hviskd.cli.app import app
from hviskd.cli.spelling import as_options, invoked

GROUP = typer.main.get_command(app)


@pytest.mark.parametrize(
    ("message", "spelled"),
    [
        ("`tile_px=0`: must be from 1 to 10,000", "--tile-px 0: must be from 1 to 10,000"),
        ("o: already exists; or pass `overwrite=True`", "o: already exists; or pass --overwrite"),
        ("give `masks` or `annotations`", "give --masks or --annotations"),
        ("`patients='([A-Z]+)=\\\\d'`: no", "--patients ([A-Z]+)=\\d: no"),
        ("`glass=['BG', 'air']`: no", "--glass BG,air: no"),
        ("`patients=([A-Z]+)=`: no", "--patients ([A-Z]+)=: no"),
        ("`output=x`, `strange=1` and `hviskd recipes`", "--output x, `strange=1` and `hviskd recipes`"),
        ("`tissue.mpp=2`: too fine", "--tissue-mpp 2: too fine"),
        ("see `network_names()`; repeat `save_evaluation()`", "see `hviskd networks`; repeat `hviskd evaluate`"),
        ("make one with `split_tiles()` or `quantize()`", "make one with `hviskd tiles split` or `hviskd quantize`"),
        ("`x()` is no verb", "`x()` is no verb"),
        ("`slides=[]`: an argument is no option", "`slides=[]`: an argument is no option"),
    ],
)
def test_only_the_options_of_the_verb_are_spelled(message, spelled):
    verb = invoked(GROUP, ["--debug", "tiles", "cut", "slides/", "-o", "tiles"])
    assert verb.name == "cut"
    assert as_options(message, verb.params) == spelled


def test_an_error_names_the_option(tmp_path):
    from typer.testing import CliRunner

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    done = CliRunner().invoke(app, ["export", str(tmp_path), "-o", str(tmp_path / "out")])
    assert done.exit_code == 2


@pytest.mark.slow
def test_no_room_but_this_one_spells_an_option():
    """Strings that are shown; docstrings and the commands that a report prints are no messages."""
    root = Path(hviskd.__file__).parent
    found = []
    for path in sorted(root.rglob("*.py")):
        room = path.relative_to(root).parts[0]
        if room == "cli" or path.parent == root / "reports" / "sections":
            continue
        if not re.search(r"--[a-z]", text := path.read_text(encoding="utf-8")):
            continue
        tree = ast.parse(text)
        docs = {
            node.body[0].value
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None
        }
        found += [
            f"{path.relative_to(root)}:{node.lineno}: {node.value.strip()}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docs
            if re.search(r"(?<![^\s(`])--[a-z]", node.value)
        ]
    assert not found, "\n".join(found)
