"""A dataclass of options is, on a terminal, the options themselves."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.cli.option_groups import with_groups


@dataclass(frozen=True)
class Size:
    width: Annotated[int, typer.Option("-w", "--width")]
    height: Annotated[int, typer.Option("--height", min=1)] = 3


@pytest.fixture
def call():
    app, given = typer.Typer(), []

    @app.command()
    @with_groups
    def draw(name: Annotated[str, typer.Argument()], size: Size, bold: Annotated[bool, typer.Option("--bold")] = False):
        given.append((name, size, bold))

    def run(*words):
        return CliRunner().invoke(app, list(words)), given

    return run


def test_the_verb_gets_the_object(call):
    _, given = call("house", "--width", "4", "--bold")
    assert given == [("house", Size(4, 3), True)]


def test_what_an_option_demands_holds_in_a_group(call):
    for words, said in ((("house",), "--width"), (("house", "-w", "4", "--height", "0"), "--height")):
        done, given = call(*words)
        assert done.exit_code == 2
        assert said in done.output
        assert given == []


@pytest.mark.parametrize("verb", ["train", "distill"])
def test_verbs_that_share_a_group_have_the_same_options(verb):
    command = typer.main.get_command(app).commands[verb]
    names = [parameter.name for parameter in command.params]
    shared = ["recipe", "network", "head", "epochs", "batch_size", "learning_rate", "precision", "seed", "changes"]
    assert [name for name in names if name in shared] == shared
    assert names[-6:] == ["resume", "allow_leak", "device", "processes", "nodes", "json_"]
