"""The command line: help with examples, a mistake is one line and exit status 2, a bug is exit status 3."""

import errno
import json
import os
import subprocess
import sys
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hviskd.cli.app import app, main
from hviskd.cli.status import Status

VERBS = (
    ["slides", "info"], ["annotations", "census"], ["annotations", "convert"], ["synth"],
    ["tiles", "import"], ["tiles", "cut"], ["tiles", "split"], ["tiles", "info"], ["train"], ["distill"],
    ["segment"], ["predict"], ["evaluate"], ["calibrate"], ["attend"], ["agree"], ["profile"], ["relations"],
    ["tune"], ["compare"], ["report"],
    ["figures", "curves"], ["figures", "roc"], ["figures", "radar"], ["figures", "confusion"], ["figures", "gain"],
    ["quantize"], ["export"], ["doctor"], ["networks"], ["recipes"], ["demo"],
)  # fmt: skip


def hviskd(*arguments, **options):
    """In this process: a fresh one imports torch each time."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


def in_a_process(*arguments, **options):
    command = [sys.executable, "-m", "hviskd", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@cache
def help_of(*verb):
    return hviskd(*verb, "--help", terminal_width=80, env={"COLUMNS": "80"})


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_verb_has_examples(verb):
    shown = help_of(*verb)
    assert shown.exit_code == 0
    assert "Examples:" in shown.output
    assert f"hviskd {' '.join(verb)}" in shown.output.partition("Examples:")[2]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_the_sentences_of_a_help_fill_the_width(verb):
    words = help_of(*verb).output.partition("Examples:")[0]
    lines = [line.strip() for line in words.splitlines()]
    for line, after in pairwise(lines):
        assert not line or not after or len(line) + 1 + len(after.split()[0]) > 78


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nowhere", "-o", "run", "--network", "resnet8"], "error: nowhere: not a TileSet"),
        (["train", "nowhere", "-o", "run", "--recipe", "labtop"], "did you mean 'laptop'"),
        (["recipes", "mine"], "error: mine: not a built-in recipe"),
        (["evaluate", "nowhere", "--tiles", "t", "-o", "e"], "error: "),
        (["train", "t", "-o", "run", "--network", "resnet8", "--set", "epochs"], "write KEY=VALUE"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = hviskd(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not done.stdout
    assert not list(tmp_path.iterdir())


NAMING_WHAT_IS_LOADED = """
import atexit, sys
from hviskd.cli import main
atexit.register(lambda: print(*sys.modules))
main()
"""


@pytest.mark.slow
def test_training_loads_no_library_of_slides_and_nothing_that_adds_a_line_to_a_mistake(tmp_path):
    words = ["train", "nowhere", "-o", "run", "--network", "resnet8"]
    command = [sys.executable, "-c", NAMING_WHAT_IS_LOADED, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    (loaded,) = done.stdout.splitlines()
    assert "hviskd.training.fit" in loaded.split()
    assert {"openslide", "shapely", "imagecodecs", "tifffile", "torchvision"}.isdisjoint(loaded.split())
    assert done.returncode == 2
    assert done.stderr.startswith("error: nowhere: not a TileSet")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_debug_shows_where_it_came_from(tmp_path):
    done = in_a_process("--debug", "recipes", "mine", cwd=tmp_path)
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: mine: not a built-in recipe")
    assert done.returncode == 2


def test_a_bug_has_a_status_of_its_own_and_its_traceback(monkeypatch, capsys):
    def broken():
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr("hviskd.cli.app.app", broken)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == Status.BROKEN == 3
    assert "ZeroDivisionError: of ours" in capsys.readouterr().err


def test_a_full_or_forbidden_disk_is_one_line(tmp_path, tileset):
    (tmp_path / "file").write_text("")
    done = hviskd("train", tileset.folder, "-o", tmp_path / "file" / "run", "--network", "resnet8", "--epochs", "1")
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert "Not a directory" in done.stderr


def test_a_forbidden_folder_is_named_with_what_to_do(tmp_path, tileset, monkeypatch):
    folder, mkdir = tmp_path / "forbidden", Path.mkdir
    folder.mkdir()

    def forbidden(path, *args, **kwargs):  # as to any user but root, whom nothing is forbidden
        if folder in path.parents:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        mkdir(path, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", forbidden)
    done = hviskd("train", tileset.folder, "-o", folder / "run", "--network", "resnet8", "--epochs", "1")
    said = f"error: {folder / 'run'}: Permission denied; change its permissions, or choose another place\n"
    assert (done.exit_code, done.stderr) == (2, said)


def test_an_error_that_says_what_to_do_gets_no_second_advice(monkeypatch, tmp_path):
    def refuse(*_args, **_kwargs):
        raise OSError(errno.EACCES, "access denied; check the credentials in the environment", "s3://slides/a.svs")

    monkeypatch.setattr("hviskd.slides.find_cohort", refuse)
    done = hviskd("slides", "info", "s3://slides/a.svs")
    said = "error: s3://slides/a.svs: access denied; check the credentials in the environment\n"
    assert (done.exit_code, done.stderr) == (2, said)


def test_version():
    assert in_a_process("--version").stdout == f"hviskd {version('hviskd')}\n"


def test_a_printed_recipe_can_be_used(tmp_path):
    from hviskd.training import load_recipe

    (tmp_path / "mine.yaml").write_text(hviskd("recipes", "laptop").stdout)
    assert load_recipe(tmp_path / "mine.yaml", role="distilled student") == load_recipe(
        "laptop", role="distilled student"
    )
    assert "vgg19-shufflenet_v1" in hviskd("recipes").stdout.split()


@pytest.mark.slow
def test_networks_are_listed_with_their_sizes():
    shown = hviskd("networks", env={"COLUMNS": "120"}).stdout
    assert "280,024" in shown
    assert "shufflenet_v2" in shown
    assert "hviskd networks --timm PATTERN lists them" in shown


def test_networks_of_timm_are_listed_by_a_pattern():
    assert "timm:regnetx_002" in hviskd("networks", "--timm", "regnetx_0*").stdout.split()
    nothing = hviskd("networks", "--timm", "resnot*")
    assert nothing.exit_code == 1
    assert "no architecture that matches 'resnot*'" in nothing.output
    told = json.loads(hviskd("networks", "--timm", "regnetx_00[24]", "--json").stdout)
    assert told == {"networks": [{"name": "timm:regnetx_002"}, {"name": "timm:regnetx_004"}]}
    nothing = hviskd("networks", "--timm", "resnot*", "--json")
    assert (nothing.exit_code, json.loads(nothing.stdout)) == (1, {"networks": []})
