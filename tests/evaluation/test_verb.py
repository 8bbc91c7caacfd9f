"""`hviskd evaluate` measures real model folders on a real tile set and prints what it found and where it is."""

import json

import pytest
import torch
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.models import save_model
from hviskd.networks import create_network

from .conftest import colour_model, write_tiles

pytestmark = pytest.mark.usefixtures("unpainted")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A tile set of three patients, a lone model, and a finished run with its two models."""
    folder = tmp_path_factory.mktemp("work")
    tileset = write_tiles(folder / "tiles", patients=3, tiles=2)
    torch.manual_seed(0)
    for place, name in (("alone", "alone"), ("run/model", "run"), ("run/model-last", "run-last")):
        network = create_network("resnet8", len(tileset.classes), "gap")
        save_model(network, colour_model(tileset, name=name).card, folder / place)
    return folder


def call(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


@pytest.mark.slow
def test_models_and_runs_are_measured_and_what_was_found_is_printed(work):
    out = work / "results"
    given = call(work / "alone", work / "run", "--tiles", work / "tiles", "-o", out, "--replicates", 100)
    assert given.exit_code == 0, given.output
    content = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    assert [each["name"] for each in content["models"]] == ["alone", "run", "run-last"]
    for each in content["models"]:
        assert f"{each['metrics']['top1']['value']:.3f}" in given.output
        assert str(out / f"roc-{each['name']}.png") in given.output
    assert "run-last − alone" in given.output
    assert given.stdout.startswith(content["verdict"]["sentences"][0])
    assert (out / "table.md").read_text(encoding="utf-8").startswith(content["verdict"]["sentences"][0])
    assert content["leak"] in given.output
    assert "resampled by patient (3 patients)" in given.output
    for file in out.iterdir():
        assert str(file) in given.output


@pytest.mark.slow
def test_a_full_folder_is_refused_before_the_work_and_replaced_on_request(work):
    out = work / "taken"
    out.mkdir()
    (out / "old.txt").write_text("old")
    (out / "evaluation.json").write_text("{}")  # what tells an evaluation from a person's own work
    request = (work / "alone", "--tiles", work / "tiles", "-o", out, "--replicates", 100)
    refused = call(*request)
    assert "--overwrite" in refused.stderr
    assert (out / "old.txt").exists()
    replaced = call(*request, "--overwrite", "--json")
    assert replaced.exit_code == 0
    told = json.loads(replaced.stdout)
    assert told.pop("output") == str(out)
    assert told == json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    assert not (out / "old.txt").exists()


def test_a_failure_leaves_nothing_behind(work):
    before = sorted(path.name for path in work.iterdir())
    failed = call(work / "alone", "--tiles", work / "tiles", "--split", "val", "-o", work / "new")
    assert "hviskd tiles split" in failed.stderr
    assert sorted(path.name for path in work.iterdir()) == before
