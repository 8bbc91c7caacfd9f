"""With --json a verb prints one JSON object on stdout, whatever it reports, and all its words on stderr."""

import json
import math
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from building.commands import walk
from hviskd.cli.answers import Answer, answering, json_text
from hviskd.cli.app import app
from hviskd.cli.status import Status
from hviskd.models import NetworkChoice

VERBS = dict(walk())
WITHOUT = {("view",)}  # it serves a page until it is ended


def ask(*words):
    """Call a verb with --json and return its exit status, its object and its words."""
    done = CliRunner().invoke(app, [*map(str, words), "--json"])
    return done.exit_code, json.loads(done.stdout, parse_constant=lambda name: pytest.fail(name)), done.stderr


@pytest.mark.parametrize("path", VERBS, ids=" ".join)
def test_every_verb_that_reports_answers_in_json(path):
    options = {option for parameter in VERBS[path].params for option in parameter.opts}
    assert ("--json" in options) == (path not in WITHOUT)


class Kind(StrEnum):
    one = "one"


class Size(NamedTuple):
    width_px: int


@dataclass(frozen=True)
class Part:
    place: Path
    size: Size


def test_whatever_a_verb_has_becomes_json_and_the_undefined_null():
    content = {
        "part": Part(Path("a b/c"), Size(3)),
        "card": NetworkChoice(name="resnet8"),
        "numbers": (math.nan, -math.inf, np.float32("nan"), np.float64(0.5), np.int64(2), True),
        "array": np.array([[1.5, math.nan]]),
        Kind.one: Kind.one,
        "sheet": {1: {"µm": None}},
    }
    read = json.loads(json_text(content))
    assert read["part"] == {"place": str(Path("a b/c")), "size": {"width_px": 3}}
    assert read["card"]["name"] == "resnet8"
    assert read["numbers"] == [None, None, None, 0.5, 2, True]
    assert read["array"] == [[1.5, None]]
    assert read["one"] == "one"
    assert read["sheet"] == {"1": {"µm": None}}
    with pytest.raises(TypeError, match="no form in JSON"):
        json_text({"what": object()})


def test_a_name_that_is_no_utf_8_is_told_and_leads_to_the_file():
    path = Path(os.fsdecode(b"slides/a\xe4.svs"))
    text = json_text({"slide": path})
    assert text.encode()  # it can be printed
    assert json.loads(text)["slide"] == str(path)


@pytest.fixture
def toy():
    app = typer.Typer()

    @app.command()
    @answering
    def verb(context: typer.Context, words: str = "hello") -> Answer:
        typer.echo(words)
        print("from a library")  # noqa: T201
        return Answer({"name": context.command.name, "words": words}, Status.partly(words == "half"))

    return lambda *given: CliRunner().invoke(app, list(given))


def test_words_go_to_the_error_stream_and_only_then(toy):
    assert toy().stdout == "hello\nfrom a library\n"
    answered = toy("--json")
    assert json.loads(answered.stdout) == {"name": "verb", "words": "hello"}
    assert answered.stderr == "hello\nfrom a library\n"


def test_the_answer_s_status_is_the_exit_status_either_way(toy):
    assert toy("--words", "half").exit_code == toy("--words", "half", "--json").exit_code == 1
    assert json.loads(toy("--words", "half", "--json").stdout)["words"] == "half"


def test_a_refusal_leaves_stdout_empty():
    done = CliRunner().invoke(app, ["tiles", "info", "nowhere", "--json"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: nowhere")


def test_a_tileset_is_told_with_its_counts_and_whether_it_leaks(tileset):
    status, told, words = ask("tiles", "info", tileset.folder)
    assert status == 0
    assert told["output"] == str(tileset.folder)
    assert told["tiles"] == told["counts"]["all tiles"]["all"] == len(tileset)
    assert told["leaks"] is False
    assert told["leak"] in words


def test_slides_are_told_with_their_facts_or_why_they_cannot_be_used(tmp_path):
    data = Path(__file__).parent.parent / "data"
    status, told, words = ask("slides", "info", data / "scan.svs", data / "broken.svs")
    assert status == 1
    good, bad = told["slides"]
    assert good["facts"]["width_px"] > 0
    assert set(good["facts"]["levels"][0]) == {"width_px", "height_px", "downsample"}
    assert bad["facts"] is None
    assert bad["problem"] in words


def test_recipes_are_told():
    assert "laptop" in ask("recipes")[1]["recipes"]
    assert ask("recipes", "laptop")[1]["recipe"] == "laptop"
