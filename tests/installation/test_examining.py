"""The installation is examined without importing it here; whatever is broken is one line."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from hviskd.installation import examining
from hviskd.installation.libraries import BINARIES, CORE, EXTRAS
from hviskd.installation.probing import probe

ROOT = Path(__file__).parents[2]
NEEDED_TO_START = ("typer", "rich", "markdown-it-py", "pydantic")  # by the command line itself


def stub(folder, module, content):
    """A package of this name that comes before the real one."""
    place = folder / module.partition(".")[0]
    place.mkdir(parents=True, exist_ok=True)
    (place / "__init__.py").write_text(content)


def doctor(*words, stubs=None, module=("hviskd", "doctor"), **variables):
    paths = [str(stubs)] if stubs else []
    path = os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": path} | variables
    command = [sys.executable, "-m", *module, *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_the_libraries_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def names(requirements):
        return {each.partition(">")[0] for each in requirements}

    assert names(project["dependencies"]) == {*CORE, *BINARIES}
    developers = {"dev", "docs"}
    extras = {
        name: names(needed) for name, needed in project["optional-dependencies"].items() if name not in developers
    }
    assert extras == {extra.name: set(extra.modules) for extra in EXTRAS}


@pytest.mark.slow
def test_a_sound_installation_works(tmp_path):
    done = doctor("--json", HVISKD_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0
    told = json.loads(done.stdout)
    for_people = done.stderr.splitlines()
    assert for_people[0] == f"hviskd     {told['hviskd']}, Python {told['python']}"
    assert for_people[-1] == "Everything that the core verbs need works."
    assert not [line for line in for_people if "Warning" in line or "Traceback" in line]
    assert told["works"]
    assert told["problems"] == []
    assert {engine["name"] for engine in told["engines"]} >= {"torch", "onnxruntime"}
    assert all(engine["largest_difference"] < 1e-4 for engine in told["engines"])
    assert {each["name"] for each in told["libraries"] if each["version"] is None} == set()
    assert next(each["licence"] for each in told["libraries"] if each["name"] == "scipy").startswith("BSD")
    assert told["telemetry_off"]
    assert told["cache"] == {"path": str(tmp_path / "cache"), "writable": True, "bytes": 0}
    assert not (tmp_path / "cache").exists()


def break_all(folder, left=()):
    for name, module in CORE.items():
        if name not in left:
            stub(folder, module, "raise ImportError('libgone.so.6: no such file\\nand more')")
    for module in (module for extra in EXTRAS for module in extra.modules.values()):
        stub(folder, module, "raise RuntimeError")
    stub(folder, "numpy", "import os; os._exit(3)")
    stub(folder, "scipy", "raise SystemExit(2)")


@pytest.mark.slow
def test_whatever_is_broken_is_one_line_and_status_1(tmp_path):
    break_all(tmp_path, left=NEEDED_TO_START)
    done = doctor(stubs=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    problems = [line.partition(" ")[2].strip() for line in done.stdout.splitlines() if line.startswith("problem")]
    assert "torch: ImportError: libgone.so.6: no such file and more" in problems
    assert "numpy: ends the process (status 3)" in problems
    assert "scipy: SystemExit: 2" in problems
    assert "engine onnxruntime: cannot be checked without torch" in problems
    assert {line.partition(":")[0] for line in problems} >= CORE.keys() - set(NEEDED_TO_START)
    assert "for the viewer, in view: pip install 'hviskd[viewer]'" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.slow
def test_where_not_even_the_command_line_starts_the_module_tells(tmp_path):
    break_all(tmp_path)
    done = doctor(stubs=tmp_path, module=("hviskd.installation",))
    assert (done.returncode, done.stderr) == (1, "")
    told = json.loads(done.stdout)
    assert {each["name"] for each in told["libraries"] if each["problem"]} == CORE.keys()


def test_a_broken_extra_keeps_no_core_verb_from_working():
    sound = examining.Library("torch", "2.6", "BSD-3-Clause", None)
    absent = examining.Library("starlette", None, None, None)
    extra = EXTRAS[0]
    problem = examining._first_problem([sound, absent])
    assert problem == "starlette is not installed"
    place = examining.Place("here", writable=True)
    found = examining.Installation(
        *("0", "3.11", "Linux", "CPU"),
        cores=2,
        memory_bytes=None,
        gpu=None,
        libraries=(sound,),
        engines=(examining.EngineCheck("openvino", None, None, "ModelError: it differs"),),
        extras=(examining.ExtraCheck(extra.name, extra.serves, extra.verbs, (absent,), problem, extra.install),),
        cache=place,
        folder=place,
        browser=False,
        telemetry_off=True,
    )
    assert found.works
    without = examining.Library("torch", None, None, None)
    assert not examining.Installation(**(vars(found) | {"libraries": (without,)})).works


def test_what_hangs_is_ended_and_the_others_are_tried(tmp_path, monkeypatch):
    stub(tmp_path, "sleeper", "import time; time.sleep(600)")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = probe("import", ["json", "sleeper", "csv", "nowhere_at_all"], seconds=3.0)
    assert found["json"]["problem"] is None
    assert found["sleeper"]["problem"] == "not finished after 3 s"
    assert found["csv"]["problem"] is None
    assert found["nowhere_at_all"]["problem"] == "ModuleNotFoundError: No module named 'nowhere_at_all'"


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    assert examining._place(tmp_path, counted=True) == examining.Place(str(tmp_path), writable=True, bytes=5)
    assert not examining._place(tmp_path / "file" / "below", counted=True).writable
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_the_verbs_of_an_extra_are_verbs():
    from hviskd.cli.app import app

    known = {command.callback.__name__ for command in app.registered_commands}
    groups = {group.name for group in app.registered_groups}
    for extra in EXTRAS:
        assert {verb.partition(" ")[0] for verb in extra.verbs} <= known | groups
