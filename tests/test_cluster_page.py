"""The scripts of docs/cluster.md call `hviskd` with options that it has, and are as short as they look."""

import re
import shlex
from pathlib import Path

import typer

from hviskd.cli.app import app
from hviskd.running import Part

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "cluster.md").read_text(encoding="utf-8")
VALUES = {"$SLURM_CPUS_PER_TASK": "4", "$SLURM_ARRAY_TASK_ID": "3", "$task.cpus": "4", "$k": "3", "$launchDir": "/data"}
VALUES |= {"${params.maps}": "maps", "{threads}": "4", "{wildcards.k}": "3"}


def test_every_command_is_one():
    segment = typer.main.get_command(app).commands["segment"]
    blocks = re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if "hviskd segment" in line]
    given = []
    for line in lines:
        command = re.sub(r'^.*(shell|script): "(.*)"$', r"\2", line)
        for name, value in VALUES.items():
            command = command.replace(name, value)
        words = shlex.split(command)
        assert words[:2] == ["hviskd", "segment"]
        given.append(segment.make_context("segment", words[2:]).params)
    assert len(given) == 7
    assert sum(each["plan"] for each in given) == 1
    assert [(Part.parse(each["part"]).number, each["threads"]) for each in given if each["part"]] == [(3, 4)] * 3
    assert sum(each["collect"] for each in given) == 2
    assert [each["scheduler"] for each in given if each["scheduler"]] == ["scheduler.json"]
    assert len(next(block for block in blocks if block.startswith("#!")).splitlines()) <= 12
