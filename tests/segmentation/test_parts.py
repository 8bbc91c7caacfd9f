"""A cohort in parts: each part a process that asks no other, and together what one call would have given."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.models import Compute
from hviskd.running import Part
from hviskd.segmentation import MapSettings, collect_parts, load_slide_map, segment_cohort
from tests.processes import start_hviskd, wait_until
from tests.segmentation.make import write_cohort
from tests.segmentation.sameness import content_of

pytestmark = pytest.mark.usefixtures("empty_overviews")
PLAIN = Compute("torch", threads=1, workers=1)
BARE = MapSettings(write=())


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """Four slides of falling size; the last is cut off in the middle."""
    return write_cohort(tmp_path_factory.mktemp("slides"), "ABCD")


@pytest.fixture(scope="module")
def whole(model, slides, tmp_path_factory):
    """All slides in one call."""
    maps = tmp_path_factory.mktemp("whole")
    segment_cohort(model, slides, maps, settings=BARE, compute=PLAIN)
    return maps


def do(model, slides, maps, number, of):
    return segment_cohort(model, slides, maps, settings=BARE, compute=PLAIN, running=Part(number, of))


@pytest.mark.slow
def test_processes_side_by_side_and_one_killed_give_the_table_of_one_call(model, slides, tmp_path):
    maps, ours = tmp_path / "maps", tmp_path / "ours"
    words = ["segment", *map(str, slides), "-m", str(model), "--engine", "torch", "--threads", "1"]
    words += ["--write", "table", "--write", "qupath", "--write", "ome-tiff"]
    in_parts = [*words, "-o", str(maps)]

    killed = start_hviskd(*in_parts, "--part", "1/3")  # A, the largest
    wait_until((maps / "A" / "map.npz").exists, killed)
    killed.kill()
    killed.join()
    assert not (maps / "A" / "summary.json").exists()
    assert not list(maps.glob(".claims")) + list(maps.glob(".progress-*"))  # nothing was locked

    others = [start_hviskd(*in_parts, "--part", f"{n}/3", says=tmp_path / f"{n}") for n in (2, 3)]
    others.append(start_hviskd(*words, "-o", ours))
    for each in others:
        each.join()
    assert [each.exitcode for each in others] == [0, 1, 1]  # D, which is damaged, is with the smallest
    said = (tmp_path / "2").read_text() + (tmp_path / "3").read_text()
    assert "of 3 parts, these have not finished: 1" in said
    assert "the last part writes slides.csv, or else `hviskd segment --collect`" in said
    assert not (maps / "slides.csv").exists()

    collected = CliRunner().invoke(app, [*in_parts, "--collect"])
    assert collected.exit_code == 1
    assert "error: A.svs: not segmented, for part 1 of 3 has not finished; run it again" in collected.stderr
    assert "D.svs: damaged" in collected.stderr
    assert "2 of 4 slides mapped" in collected.stdout

    last = start_hviskd(*in_parts, "--part", "1/3")
    last.join()
    assert last.exitcode == 0
    assert (maps / "slides.csv").read_bytes() == (ours / "slides.csv").read_bytes()
    assert content_of(maps, *"ABC") == content_of(ours, *"ABC")
    again = CliRunner().invoke(app, [*in_parts, "--collect"])
    assert (again.exit_code, again.stdout.splitlines()[-2]) == (1, "3 of 4 slides mapped")


@pytest.mark.slow
def test_the_last_part_writes_the_table_and_a_part_returns_its_share(model, slides, whole, tmp_path):
    first = do(model, slides, tmp_path, 2, 2)
    assert "of 2 parts, these have not finished: 1" in first.notes
    assert not (tmp_path / "slides.csv").exists()
    second = do(model, slides[::-1], tmp_path, 1, 2)  # listed in another order
    assert not second.notes
    assert sorted(outcome.slide for outcome in (*first, *second)) == slides
    rows = (tmp_path / "slides.csv").read_text().splitlines()
    assert sorted(rows) == sorted((whole / "slides.csv").read_text().splitlines())
    together = collect_parts(model, slides, tmp_path, settings=BARE, compute=PLAIN)
    assert [outcome.state for outcome in together] == ["done", "done", "done", "failed"]
    assert (tmp_path / "slides.csv").read_bytes() == (whole / "slides.csv").read_bytes()
    for name in "ABC":
        one, other = (load_slide_map(folder / name) for folder in (tmp_path, whole))
        np.testing.assert_array_equal(one.probabilities, other.probabilities)


@pytest.mark.slow
def test_a_record_of_another_request_or_of_a_map_that_is_gone_does_not_count(model, slides, tmp_path):
    some = slides[1:3]
    for number in (1, 2):
        do(model, some, tmp_path, number, 2)
    asked = {"settings": BARE, "compute": PLAIN}
    assert not collect_parts(model, some, tmp_path, **asked).failed
    for model_settings in (replace(BARE, min_tissue=0.4), replace(BARE, write=("table",))):
        found = collect_parts(model, some, tmp_path, **{**asked, "settings": model_settings})
        assert found.notes == ("no part with these slides, settings and Model has finished",)
        assert found.failed == found.outcomes
    shutil.rmtree(tmp_path / "C")
    (failed,) = collect_parts(model, some, tmp_path, **asked).failed
    assert failed.problem == "C.svs: not segmented, for part 2 of 2 has not finished; run it again"
    do(model, some, tmp_path, 2, 2)
    for record in (tmp_path / ".parts").iterdir():
        record.write_text("{")
    assert len(collect_parts(model, some, tmp_path, **asked).failed) == 2


@pytest.mark.slow
def test_more_parts_than_slides_leave_some_without(model, slides, tmp_path):
    outcomes = [do(model, slides[2:3], tmp_path, number, 3) for number in (1, 2, 3)]
    assert [len(share) for share in outcomes] == [1, 0, 0]
    assert (tmp_path / "slides.csv").is_file()


def test_each_slide_is_in_one_part_even_if_sizes_change_meanwhile(model, tmp_path):
    slides = [tmp_path / "a.svs", tmp_path / "b.svs"]
    for path, size in zip(slides, (90, 50), strict=True):  # no slides: they fail at once
        path.write_bytes(bytes(size))
    (first,) = do(model, slides, tmp_path / "maps", 1, 2)
    slides[1].write_bytes(bytes(500))
    assert (
        "these have not finished: 2"
        in collect_parts(model, slides, tmp_path / "maps", settings=BARE, compute=PLAIN).notes[0]
    )
    (second,) = do(model, slides, tmp_path / "maps", 2, 2)
    assert [first.slide, second.slide] == slides


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--collect", "--overwrite"], "--overwrite: omit it, since --collect repeats no slide"),
        (["--retries", "3"], "--retries 3: needs --scheduler; without it, no worker can die"),
    ],
)
def test_an_option_without_effect_is_refused(model, slides, tmp_path, options, said):
    command = ["segment", str(slides[0]), "-m", str(model), "-o", str(tmp_path / "maps"), *options]
    done = CliRunner().invoke(app, command)
    assert (done.exit_code, done.stderr) == (2, f"error: {said}\n")
    assert not (tmp_path / "maps").exists()


def test_part_and_collect_exclude_each_other(model, slides, tmp_path):
    command = ["segment", str(slides[0]), "-m", str(model), "-o", str(tmp_path), "--part", "1/2", "--collect"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2
    assert done.stderr == "error: --part 1/2: omit it, since --collect puts all parts together\n"
