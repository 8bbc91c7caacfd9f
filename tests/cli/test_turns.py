"""Two processes run one verb on one output: both end well, and the output is written once."""

import threading
import time

import numpy as np
import pytest
from shapely import box
from typer.testing import CliRunner

from hviskd.agreement.folder import TABLE
from hviskd.annotations import Outlines, Region, write_geojson
from hviskd.claims import turn
from hviskd.cli.app import app
from hviskd.segmentation import save_slide_map
from tests.agreement.rectangles import WHOLE, halves_map
from tests.cutting.samples import add_slide, halves, write_legend
from tests.processes import start_hviskd, wait_until

WAITING, WRITTEN = "another process is writing it; waiting", "written by another process with the same options"


def two_at_once(output, *words):
    """Run a command twice at the same time: each waits until both have come, and then for the other."""
    files = [output.parent / "first.txt", output.parent / "second.txt"]
    with turn(output, "hold them back"):
        both = [start_hviskd(*words, "-o", output, says=file) for file in files]
        for file in files:
            wait_until(lambda file=file: file.is_file() and WAITING in file.read_text(), *both)
    for process in both:
        process.join()
    said = [file.read_text() for file in files]
    assert [process.exitcode for process in both] == [0, 0], said
    assert sorted(WRITTEN in words for words in said) == [False, True]
    assert not list(output.parent.glob(".*"))


@pytest.mark.slow
def test_two_agreements(tmp_path):
    save_slide_map(halves_map(slide="a.svs"), tmp_path / "maps" / "a", np.full((45, 64, 3), 230, np.uint8))
    regions = [Region("left", box(0, 0, 320, 448)), Region("right", box(320, 0, 640, 448))]
    drawn = write_geojson(Outlines.of(regions, size=WHOLE), tmp_path / "a.geojson")
    two_at_once(tmp_path / "out", "agree", tmp_path / "maps", "--annotations", drawn)
    assert (tmp_path / "out" / TABLE).is_file()


@pytest.mark.slow
def test_two_cuttings(tmp_path):
    legend = write_legend(tmp_path)
    add_slide(tmp_path / "slides", "P1-a", halves(256, 256, 128))
    common = ["--masks", tmp_path / "slides" / "masks", "--legend", legend, "--tile-px", 64, "--tissue", 0]
    two_at_once(tmp_path / "tiles", "tiles", "cut", tmp_path / "slides", *common)


@pytest.mark.parametrize(
    "words",
    [
        ("agree", "maps", "--annotations", "drawn"),
        ("attend", "model", "--tiles", "tiles"),
        ("compare", "laptop", "--tiles", "tiles"),
        ("tune", "tiles", "--recipe", "laptop", "--try", "learning_rate=0.1"),
        ("tiles", "cut", "slides", "--masks", "masks", "--legend", "ivygap"),
    ],
)
def test_every_verb_that_writes_a_whole_waits(tmp_path, words, monkeypatch):
    out, sleep = tmp_path / "out", time.sleep
    held, go = threading.Event(), threading.Event()

    def sleep_and_let_go(seconds):
        go.set()
        sleep(seconds)

    monkeypatch.setattr("hviskd.claims.time.sleep", sleep_and_let_go)

    def hold():
        with turn(out, "another"):
            held.set()
            go.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    result = CliRunner().invoke(app, [*words, "-o", str(out)])
    thread.join()
    assert result.exit_code == 2  # there is nothing of what it asks for
    assert WAITING in result.output
    assert WRITTEN not in result.output
    assert not list(tmp_path.iterdir())
