"""The tutorial of drawing and training runs as it is printed, on four small slides and for one epoch.

Where the page says to draw, outlines are sent to the viewer as its page sends them.
"""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import shapely
from typer.testing import CliRunner

from hviskd.annotations import load_legend, read_annotation
from hviskd.cli.app import app
from hviskd.models import load_model
from hviskd.tiles import TileSet
from hviskd.viewer import Viewer

from .asking import ask, post

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "loop.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = [
    shlex.split(line) for language, block in BLOCKS if not language for line in block.replace("\\\n", " ").splitlines()
]
QUICKER = {
    "synth": ["--patients", "4", "--width-px", "1200", "--height-px", "900"],
    "train": ["--epochs", "1", "--batch-size", "8"],
    "distill": ["--epochs", "1", "--batch-size", "8", "--allow-weak-teacher"],
    "view": ["--no-browser"],
}
SEEN_AS = {"CT": "tumour", "CTpan": "tumour", "CTne": "necrosis", "LE": "brain"}


def run(words):
    done = CliRunner().invoke(app, [*words[1:], *QUICKER.get(words[1], [])])
    assert done.exit_code == 0, done.output


def outlines(name, most):
    """What a person would draw on a slide: the largest regions of each class, well inside their borders."""
    found = {label: [] for label in SEEN_AS.values()}
    for region in read_annotation(f"cohort/annotations/{name}.geojson").regions:
        if region.label in SEEN_AS:
            inside = shapely.get_parts(region.geometry.buffer(-5)).tolist()
            found[SEEN_AS[region.label]] += [part.simplify(4) for part in inside]
    legend = load_legend("my.yaml")
    colours = dict(zip(legend.names, legend.colours, strict=True))
    return [
        {"label": label, "colour": colours[label], "polygons": [[np.ravel(part.exterior.coords[:-1]).tolist()]]}
        for label, parts in found.items()
        for part in sorted(parts, key=lambda part: -part.area)[:most]
    ]


def draw(viewer, most):
    """Draw on every slide, on top of what is there."""
    for slide in ask(viewer, "/slides").json["slides"]:
        path = f"/slides/{slide['key']}/drawing"
        there = ask(viewer, path).json
        assert [each["name"] for each in there["classes"]][:3] == ["tumour", "necrosis", "brain"]
        mine = there["regions"] + outlines(Path(slide["name"]).stem, most)[len(there["regions"]) :]
        answer = post(viewer, path, {"revision": there["revision"], "regions": mine})
        assert (answer.status, answer.json["kept"]) == (200, None)


def look_and_correct(viewer):
    """Go to the least sure tile of every slide, take the map's region there, and draw the rest over it."""
    for slide in ask(viewer, "/slides").json["slides"]:
        key = slide["key"]
        tile = ask(viewer, f"/slides/{key}/least-sure/0").json["tiles"][0]
        said = ask(viewer, f"/slides/{key}/at?x={tile['x']}&y={tile['y']}").json
        assert said["opinions"][0]["name"] == "student-1"
        region = ask(viewer, f"/slides/{key}/maps/0/region?x={tile['x']}&y={tile['y']}").json["region"]
        assert region["label"] == tile["class"]
        there = ask(viewer, f"/slides/{key}/drawing").json
        changed = {"revision": there["revision"], "regions": [region, *there["regions"]]}
        assert post(viewer, f"/slides/{key}/drawing", changed).status == 200


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (legend,) = (block for language, block in BLOCKS if language == "yaml")
    Path("my.yaml").write_text(legend)
    steps = iter([lambda viewer: draw(viewer, 4), look_and_correct, lambda viewer: ask(viewer, "/slides")])
    for words in COMMANDS:
        assert words[0] == "hviskd"
        if words[1] == "view":
            monkeypatch.setattr(Viewer, "wait", next(steps))  # instead of waiting for Ctrl+C
        run(words)
    assert next(steps, None) is None
    first, second = (TileSet.open(folder) for folder in ("tiles-1", "tiles-2"))
    assert first.card.classes == second.card.classes == ("tumour", "necrosis", "brain")
    assert len(second) > len(first)
    assert load_model("runs/student-2").card.classes == first.card.classes
    assert Path("evaluation").is_dir()
