"""What is run with a built wheel can be run: every step's command and options are those of this version."""

import os
import shlex
from pathlib import Path

import pytest

from building.commands import walk

from .scripts import script

ROOT = Path(__file__).parent.parent
VERBS = dict(walk())


@pytest.mark.parametrize("step", script("smoke").STEPS)
def test_each_step_is_a_command_with_its_options(step):
    words = shlex.split(step)
    verb = VERBS.get(tuple(words[:2])) or VERBS[words[0],]
    options = {option for parameter in verb.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= options


def test_one_program_is_taken_of_each_python_that_works(tmp_path, monkeypatch):
    for folder, names in (("first", ("3.11", "3.13")), ("second", ("3.9", "3.11", "3.12-config", "3.12", "3.13"))):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / f"python{name}").write_text("")
    wheels = script("try_wheels")
    monkeypatch.setattr(wheels, "_works", lambda program: program != tmp_path / "first" / "python3.13")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'first'}{os.pathsep}{tmp_path / 'second'}")
    expected = [("first", "3.11"), ("second", "3.12"), ("second", "3.13")]
    assert wheels.pythons_here() == [str(tmp_path / folder / f"python{name}") for folder, name in expected]


def test_the_container_takes_what_the_build_needs():
    recipe = (ROOT / "packaging" / "Containerfile").read_text(encoding="utf-8")
    copied = {word for line in recipe.splitlines() if line.startswith("COPY") for word in line.split()[1:-1]}
    assert {"pyproject.toml", "README.md", "LICENSE", "packaging", "src"} <= copied
    assert all((ROOT / name).exists() for name in copied if not name.startswith(("-", "/")))
