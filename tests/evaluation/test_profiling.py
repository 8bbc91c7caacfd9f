"""`hviskd profile` counts and measures real model folders, prints the table and writes it."""

import json

import pandas as pd
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from hviskd.cli.profile import profile
from hviskd.evaluation import evaluate, save_evaluation
from hviskd.evaluation import profile as measure
from hviskd.evaluation.cost_figures import Point, cost_figure
from hviskd.evaluation.intervals import Interval
from hviskd.models import Compute, load_model, save_model
from hviskd.networks import create_network
from tests.conftest import figures_unpainted
from tests.html_tables import read_tables

from .conftest import CLASSES, colour_model, write_tiles

verb = typer.Typer()
verb.command()(profile)


def call(*arguments):
    return CliRunner().invoke(verb, [str(argument) for argument in arguments])


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Two models, and what `evaluate` found of them."""
    folder = tmp_path_factory.mktemp("work")
    tileset = write_tiles(folder / "tiles", patients=3, tiles=2)
    torch.manual_seed(0)
    for name in ("resnet8", "shufflenet_v2"):
        network = create_network(name, len(CLASSES))
        choice = {"network": {"name": name}}
        card = colour_model(tileset, name=f"my-{name}").card
        card = type(card).model_validate(card.model_dump() | choice)
        save_model(network, card, folder / name)
    models = [load_model(folder / name) for name in ("resnet8", "shufflenet_v2")]
    with figures_unpainted():
        save_evaluation(evaluate(models, tileset, replicates=100, compute=Compute(device="cpu")), folder / "evaluation")
    return folder


def test_a_network_by_name_is_counted_without_being_trained():
    given = call("resnet20", "mobilenet_v2", "--no-speed")
    assert given.exit_code == 0, given.output
    for fact in ("904.5", "148.5"):  # millions; a global average spares the classifier most of its work
        assert fact in given.output


def test_models_are_taken_as_models_runs_or_folders(work):
    told = []
    folders = [work / "resnet8", str(work / "shufflenet_v2")]
    by_folder = measure(folders, speed=False, progress=lambda *at: told.append(at))
    loaded = [load_model(folder) for folder in folders]
    assert measure([*loaded, "resnet8"], speed=False).entries[:2] == by_folder.entries
    assert measure(loaded[0], speed=False).entries == by_folder.entries[:1]
    assert told == [(1, 2, "profile: my-resnet8"), (2, 2, "profile: my-shufflenet_v2")]


def test_files_agree_and_the_pictures_are_drawn(work):
    out = work / "cost"
    request = (work / "resnet8", work / "shufflenet_v2", "-o", out, "--accuracy", work / "evaluation")
    given = call(*request, "--seconds", 0.01, "--threads", 1)
    assert given.exit_code == 0, given.output
    content = json.loads((out / "profile.json").read_text(encoding="utf-8"))
    table = pd.read_csv(out / "profile.csv")
    text = (out / "profile.md").read_text(encoding="utf-8")
    assert content["machine"]["threads"] == 1
    for each in content["networks"]:
        rows = table[table["name"] == each["name"]]
        assert sorted(rows["engine"]) == sorted(rate["engine"] for rate in each["rates"])
        assert set(rows["multiply_adds"]) == {each["complexity"]["multiply_adds"]}
        assert each["complexity"]["tile_px"] == 32
        assert each["file_bytes"] == (work / each["network"] / "weights.safetensors").stat().st_size
        assert f"{each['complexity']['parameters']:,}" in text
    for metric in ("top1", "macro_auroc"):
        for cost in ("multiply-adds", "milliseconds"):
            with Image.open(out / f"{metric}-{cost}.png") as picture:
                assert picture.width > 800
    for file in out.iterdir():
        assert str(file) in given.output


def test_a_picture_shows_each_network_at_its_cost_and_accuracy():
    points = [Point("small", 10, 0.7, Interval(0.6, 0.8), 1000), Point("large", 100, 0.9, None, 100_000)]
    axes = cost_figure(points, cost="multiply-adds", metric="top1").axes[0]
    drawn = {tuple(marks.get_offsets()[0]): marks.get_sizes()[0] for marks in axes.collections}
    assert set(drawn) == {(10, 0.7), (100, 0.9)}
    assert drawn[100, 0.9] > drawn[10, 0.7]
    assert axes.get_xscale() == "log"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no-such-network"], "neither a Model folder nor a network"),
        (["resnet8", "resnet8"], "twice"),
        (["resnet8", "--accuracy", "somewhere"], "-o DIR"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments, said):
    failed = call(*arguments, "--no-speed")
    assert said in str(failed.exception)


def test_what_is_no_profile_is_never_replaced(work):
    (work / "mine").mkdir()
    (work / "mine" / "notes.txt").write_text("mine")
    for extra in ((), ("--overwrite",)):
        assert call("resnet8", "--no-speed", "-o", work / "mine", *extra).exception is not None
    assert (work / "mine" / "notes.txt").read_text() == "mine"
    for _ in range(2):
        assert call("resnet8", "--no-speed", "-o", work / "again", "--overwrite").exit_code == 0


def test_an_evaluation_of_other_models_or_a_damaged_one_is_refused_and_nothing_is_left(work):
    other = call("resnet8", "--no-speed", "-o", work / "none", "--accuracy", work / "evaluation")
    assert "none of these models" in str(other.exception)
    (work / "damaged").mkdir()
    (work / "damaged" / "evaluation.json").write_text('{"models": [{"name": 3}]}')
    damaged = call("resnet8", "--no-speed", "-o", work / "none", "--accuracy", work / "damaged")
    assert "damaged" in str(damaged.exception)
    assert not (work / "none").exists()


def test_a_profile_shows_itself_in_a_notebook():
    cost = measure("resnet8", speed=False)
    header, rows = cost.summary_table()
    assert read_tables(cost._repr_html_()) == [header, *rows]
