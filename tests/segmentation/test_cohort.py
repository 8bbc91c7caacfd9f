"""Cohorts: every slide is attempted, nothing finished is done twice or lost, and nothing half-written counts."""

import csv
import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from hviskd.claims import Claims
from hviskd.errors import DataError
from hviskd.models import Compute
from hviskd.running import Here
from hviskd.segmentation import (
    MapSettings,
    load_slide_map,
    read_summary,
    save_slide_map,
    segment,
    segment_cohort,
)
from hviskd.segmentation.settings import WRITTEN
from hviskd.slides import TissueRule, find_cohort, open_slide
from tests.html_tables import read_tables
from tests.processes import start_hviskd, wait_until
from tests.segmentation.make import CLASSES, tissue_on_glass, write_model, write_slide
from tests.slides.make import glass

pytestmark = pytest.mark.usefixtures("empty_overviews")
PLAIN = Compute("torch", threads=1, workers=1)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Three slides; the second is cut off in the middle."""
    folder = tmp_path_factory.mktemp("slides") / "slides"
    paths = [
        write_slide(folder / f"{name}.svs", tissue_on_glass(500, 400, seed=seed))
        for seed, name in enumerate(("first", "second", "third"))
    ]
    content = paths[1].read_bytes()
    paths[1].write_bytes(content[: len(content) // 2])
    return paths


@pytest.fixture
def slides(written, tmp_path):
    """A test's own copies of the three."""
    folder = shutil.copytree(written[0].parent, tmp_path / "slides")
    return [folder / path.name for path in written]


def states(outcomes):
    return [outcome.state for outcome in outcomes]


@pytest.mark.slow
def test_a_bad_slide_is_named_and_the_others_are_done(model, slides, tmp_path):
    told = []
    outcomes = segment_cohort(model, slides, tmp_path / "maps", running=Here(told.append), compute=PLAIN)
    assert states(outcomes) == ["done", "failed", "done"]
    assert tuple(told) == outcomes.outcomes
    assert outcomes.failed == (outcomes[1],)
    header, *rows = read_tables(outcomes._repr_html_())
    assert header == list(outcomes.to_dataframe().columns)
    assert [row[2] for row in rows] == states(outcomes)
    assert outcomes.to_dataframe()["tiles"].notna().tolist() == [True, False, True]
    assert "second.svs: damaged" in outcomes[1].problem
    assert not (tmp_path / "maps" / "second").exists()
    for outcome in (outcomes[0], outcomes[2]):
        found, expected = load_slide_map(outcome.folder), segment(model, outcome.slide, compute=PLAIN)
        np.testing.assert_array_equal(found.row, expected.row)
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
        assert sorted(path.name for path in outcome.folder.iterdir()) == sorted(
            (*outcome.summary.files, "summary.json")
        )


@pytest.mark.slow
def test_a_name_that_is_not_utf8_fails_alone(model, slides, tmp_path):
    odd = slides[0].with_name("b\udcff.svs")
    try:
        shutil.copyfile(slides[0], odd)
    except OSError:
        pytest.skip("this file system takes no such name")
    outcomes = segment_cohort(model, [odd, slides[2]], tmp_path / "maps", compute=PLAIN)
    assert states(outcomes) == ["failed", "done"]
    assert "not UTF-8" in outcomes[0].problem
    rows = list(csv.DictReader((tmp_path / "maps" / "slides.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["slide"] for row in rows] == ["b?.svs", "third.svs"]


@pytest.mark.slow
def test_a_map_from_before_does_not_pass_for_one_that_failed(model, slides, tmp_path):
    (done,) = segment_cohort(model, slides[:1], tmp_path / "maps", compute=PLAIN)
    content = slides[0].read_bytes()
    slides[0].write_bytes(content[: len(content) // 2])
    (failed,) = segment_cohort(model, slides[:1], tmp_path / "maps", compute=PLAIN)
    assert failed.state == "failed"
    assert not (done.folder / "summary.json").exists()
    assert json.loads((done.folder / "summary.outdated.json").read_text())
    slides[0].write_bytes(content)
    assert states(segment_cohort(model, slides[:1], tmp_path / "maps", compute=PLAIN)) == ["done"]


def test_a_place_that_takes_no_file_is_refused_before_the_work(model, slides, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written to"):
        segment_cohort(model, slides, tmp_path / "file" / "maps", compute=PLAIN)


@pytest.mark.slow
def test_the_table_of_slides_holds_areas_and_reasons_and_no_path(model, slides, tmp_path):
    outcomes = segment_cohort(model, slides, tmp_path / "maps", compute=PLAIN)
    text = (tmp_path / "maps" / "slides.csv").read_text()
    assert str(tmp_path) not in text
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["state"] for row in rows] == ["done", "failed", "done"]
    assert "damaged" in rows[1]["problem"]
    total = sum(float(rows[0][f"{name}_mm2"]) for name in CLASSES)
    assert total == pytest.approx(outcomes[0].summary.tiles * 0.032**2, abs=1e-3)


@pytest.mark.slow
def test_what_is_done_is_kept(model, slides, tmp_path):
    first = segment_cohort(model, slides, tmp_path / "maps", compute=PLAIN)
    written = (first[0].folder / "summary.json").stat().st_mtime_ns
    again = segment_cohort(model, slides, tmp_path / "maps", compute=PLAIN)
    assert states(again) == ["kept", "failed", "kept"]
    assert again[0].summary == first[0].summary
    assert (first[0].folder / "summary.json").stat().st_mtime_ns == written
    assert states(segment_cohort(model, slides[:1], tmp_path / "maps", overwrite=True, compute=PLAIN)) == ["done"]


@pytest.mark.slow
def test_only_the_files_that_are_wanted_are_written(model, slides, tmp_path):
    def files(**given):
        settings = MapSettings(write=given.pop("write", WRITTEN))
        (found,) = segment_cohort(model, slides[:1], tmp_path / "maps", settings=settings, compute=PLAIN, **given)
        there = {path.name for path in found.folder.iterdir()}
        assert there == {*found.summary.files, "summary.json"}
        return found.state, there - {"map.npz", "summary.json"}

    both = {"classes.ome.tiff", "probabilities.ome.tiff"}
    assert files(write=("table",)) == ("done", {"tiles.parquet"})
    assert files(write=()) == ("kept", {"tiles.parquet"})  # what is there does no harm
    assert files(write=("ome-tiff", "table")) == ("done", {"tiles.parquet", *both})
    assert files() == ("done", {"tiles.parquet", "first.geojson", "overview.png", *both})
    assert files(write=("qupath",), overwrite=True) == ("done", {"first.geojson"})
    with pytest.raises(DataError, match="`write='geojson'`: no such output; choose among overview, qupath, table"):
        MapSettings(write=("geojson",))


@pytest.mark.slow
def test_a_cohort_says_that_its_maps_were_computed_in_two_ways(model, slides, tmp_path):
    first = segment_cohort(model, slides, tmp_path / "maps", compute=PLAIN)
    assert not first.notes
    path = first[0].folder / "summary.json"
    content = path.read_text()
    ours = first[0].summary.map.engine
    other = ours.replace("float32", "int8")
    assert content.count(ours) == 1
    path.write_text(content.replace(ours, other))
    again = segment_cohort(model, slides, tmp_path / "maps", compute=PLAIN)
    assert states(again) == ["kept", "failed", "kept"]
    (note,) = again.notes
    counted = "; ".join(f"{way.partition(' on ')[0]}: 1" for way in (ours, other))
    assert note.startswith(f"maps computed by different engines or precisions ({counted}); ")


@pytest.mark.slow
def test_a_cohort_that_is_done_loads_no_network(model, slides, tmp_path):
    segment_cohort(model, slides[:1], tmp_path / "maps", compute=PLAIN)
    code = """
import sys
from hviskd.models import Compute
from hviskd.segmentation import segment_cohort
model, slide, maps = sys.argv[1:]
print(segment_cohort(model, [slide], maps, compute=Compute("torch"))[0].state, "torch" in sys.modules)
"""
    command = [sys.executable, "-c", code, model, slides[0], tmp_path / "maps"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["kept", "False"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", ["stride", "tissue", "tissue rule", "precision", "slide", "slide_mpp", "model", "lost file"]
)
def test_what_has_changed_is_done_again(model, slides, tmp_path, change):
    slide, settings, compute, chosen = slides[0], MapSettings(), PLAIN, model
    (first,) = segment_cohort(model, [slide], tmp_path / "maps", compute=PLAIN)
    listed = [slide]
    match change:
        case "stride":
            settings = MapSettings(stride_px=32)
        case "tissue":
            settings = MapSettings(min_tissue=0.9)
        case "tissue rule":
            settings = MapSettings(tissue=TissueRule(density=0.2))
        case "precision":
            compute = replace(PLAIN, precision="float32")
        case "slide":
            write_slide(slide, tissue_on_glass(640, 400, seed=5))
        case "slide_mpp":
            listed = find_cohort([slide], slide_mpp=0.25)
        case "model":
            chosen = write_model(tmp_path / "other", seed=1).folder
        case "lost file":
            (first.folder / "map.npz").unlink()
    (again,) = segment_cohort(chosen, listed, tmp_path / "maps", settings=settings, compute=compute)
    assert (again.state, again.folder) == ("done", first.folder)
    assert (again.summary.fingerprint == first.summary.fingerprint) is (change == "lost file")
    given = 0.25 if change == "slide_mpp" else None
    expected = segment(chosen, slide, slide_mpp=given, settings=settings, compute=compute)
    np.testing.assert_allclose(load_slide_map(again.folder).probabilities, expected.probabilities, atol=1e-5)


@pytest.mark.slow
def test_slides_of_one_name_do_not_overwrite_each_other(model, tmp_path):
    paths = [
        write_slide(tmp_path / folder / "section.svs", tissue_on_glass(500, 400, seed=seed))
        for seed, folder in enumerate(("left", "right"))
    ]
    together = segment_cohort(model, paths, tmp_path / "maps", compute=PLAIN)
    assert len({outcome.folder for outcome in together}) == 2
    for outcome in together:
        assert outcome.folder.name.startswith("section-")
    assert states(segment_cohort(model, paths[::-1], tmp_path / "maps", compute=PLAIN)) == ["kept", "kept"]

    (alone,) = segment_cohort(model, paths[:1], tmp_path / "apart", compute=PLAIN)
    assert alone.folder == tmp_path / "apart" / "section"
    (other,) = segment_cohort(model, paths[1:], tmp_path / "apart", compute=PLAIN)
    assert other.folder != alone.folder
    assert read_summary(alone.folder) == alone.summary
    assert states(segment_cohort(model, paths, tmp_path / "apart", compute=PLAIN)) == ["kept", "kept"]


def test_a_cohort_that_was_moved_is_still_done(model, tmp_path):
    slide = write_slide(tmp_path / "here" / "section.svs", tissue_on_glass(500, 400))
    segment_cohort(model, [slide], tmp_path / "maps", compute=PLAIN)
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert states(segment_cohort(model, [tmp_path / "there" / "section.svs"], tmp_path / "maps", compute=PLAIN)) == [
        "kept"
    ]


@pytest.mark.slow
def test_a_slide_without_tissue_gets_all_files_too(model, tmp_path, monkeypatch):
    monkeypatch.undo()  # with its overview
    slide = write_slide(tmp_path / "glass.svs", glass((400, 500)))
    (outcome,) = segment_cohort(model, [slide], tmp_path / "maps", compute=PLAIN)
    assert (outcome.state, outcome.summary.tiles) == ("done", 0)
    assert len(load_slide_map(outcome.folder)) == 0
    for name in outcome.summary.files:
        assert (outcome.folder / name).stat().st_size > 0
    assert json.loads((outcome.folder / "glass.geojson").read_text())["features"] == []


@pytest.mark.slow
def test_a_map_that_cannot_be_written_fails_alone(model, slides, tmp_path):
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "first").write_text("a file where a folder should be")
    outcomes = segment_cohort(model, [slides[0], slides[2]], tmp_path / "maps", compute=PLAIN)
    assert states(outcomes) == ["failed", "done"]
    assert "first" in outcomes[0].problem


@pytest.mark.slow
def test_a_map_of_ones_own_is_saved_and_loaded(model, slides, tmp_path):
    found = segment(model, slides[0], compute=PLAIN)
    with open_slide(slides[0]) as slide:
        folder = save_slide_map(found, tmp_path / "map", slide.thumbnail(300))
    loaded = load_slide_map(folder)
    assert loaded.card == found.card
    np.testing.assert_array_equal(loaded.probabilities, found.probabilities)
    (folder / "summary.json").unlink()
    with pytest.raises(DataError, match="contains no finished map"):
        load_slide_map(folder)


@pytest.mark.slow
def test_a_listed_slide_that_is_missing_fails_alone(model, slides, tmp_path):
    table = tmp_path / "slides" / "cohort.csv"
    table.write_text("slide\nmissing.svs\nfirst.svs\n")
    outcomes = segment_cohort(model, find_cohort([table]), tmp_path / "maps", compute=PLAIN)
    assert states(outcomes) == ["failed", "done"]
    assert "missing.svs: " in outcomes[0].problem


@pytest.mark.slow
def test_a_slide_that_another_process_claims_is_done_when_that_lets_go_of_it(model, slides, tmp_path):
    told = []
    with Claims(tmp_path / "maps" / ".claims") as another:
        assert another.take("first")

        def report(outcome):
            told.append(outcome.slide)
            if len(told) == 2:
                another.release("first")

        outcomes = segment_cohort(model, slides, tmp_path / "maps", running=Here(report), compute=PLAIN)
    assert states(outcomes) == ["done", "failed", "done"]
    assert told == [slides[1], slides[2], slides[0]]
    assert not (tmp_path / "maps" / ".claims").exists()


@pytest.mark.slow
def test_two_processes_share_a_cohort_and_each_slide_is_done_once(model, tmp_path):
    paths = [write_slide(tmp_path / "slides" / f"{n}.svs", tissue_on_glass(500, 400, seed=n)) for n in range(3)]
    command = ["segment", tmp_path / "slides", "-m", model, "-o", tmp_path / "maps", "--engine", "torch"]
    command += ["--write", "table"]
    files = [tmp_path / "first.txt", tmp_path / "second.txt"]
    both = [start_hviskd(*command, "--threads", "1", says=file) for file in files]
    for process in both:
        process.join()
    said = [file.read_text() for file in files]
    assert [process.exitcode for process in both] == [0, 0], said
    for path in paths:
        lines = [line for words in said for line in words.splitlines() if line.startswith(f"{path.name}: ")]
        assert sorted("already done" in line for line in lines) == [False, True]
        assert len(load_slide_map(tmp_path / "maps" / path.stem))
    with (tmp_path / "maps" / "slides.csv").open() as stream:
        assert [row["slide"] for row in csv.DictReader(stream)] == [path.name for path in paths]
    assert not list((tmp_path / "maps").glob("**/.*"))


@pytest.mark.slow
def test_the_table_keeps_the_slides_of_other_calls_whose_maps_are_there(model, slides, tmp_path):
    maps = tmp_path / "maps"

    def listed():
        return [line.split(",")[0] for line in (maps / "slides.csv").read_text().splitlines()[1:]]

    segment_cohort(model, slides[:1], maps, compute=PLAIN)
    segment_cohort(model, slides[1:], maps, compute=PLAIN)
    assert listed() == ["second.svs", "third.svs", "first.svs"]
    segment_cohort(model, slides[2:], maps, compute=PLAIN)
    assert listed() == ["third.svs", "first.svs"]  # a slide that failed has no map
    shutil.rmtree(maps / "first")
    segment_cohort(model, slides[2:], maps, compute=PLAIN)
    assert listed() == ["third.svs"]
    (maps / "slides.csv").write_bytes(b"slide\xff")
    segment_cohort(model, slides[2:], maps, compute=PLAIN)
    assert listed() == ["third.svs"]


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_with_what_is_missing(model, tmp_path):
    paths = [
        write_slide(tmp_path / "slides" / f"{seed}.svs", tissue_on_glass(500, 400, seed=seed)) for seed in range(3)
    ]
    maps = tmp_path / "maps"
    command = ["segment", *paths, "-m", model, "-o", maps, "--engine", "torch", "--threads", "1", "--stride", "32"]

    kill_when(lambda: any(maps.glob("*/map.npz")), command)  # in the midst of the first slide's files
    assert not list(maps.glob("*/summary.json"))
    kill_when(lambda: any(maps.glob("*/summary.json")), command)
    done = {path: path.stat().st_mtime_ns for path in maps.glob("*/summary.json")}
    assert 1 <= len(done) < len(paths)
    for summary in done:
        assert len(load_slide_map(summary.parent))

    again = segment_cohort(model, paths, maps, settings=MapSettings(stride_px=32), compute=Compute("torch", threads=1))
    assert states(again).count("kept") == len(done)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    for path in paths:
        expected = segment(model, path, settings=MapSettings(stride_px=32), compute=PLAIN)
        np.testing.assert_allclose(load_slide_map(maps / path.stem).probabilities, expected.probabilities, atol=1e-5)
    assert not list(maps.glob("*/.partial-*"))


def kill_when(happened, command):
    """Run a process until something has happened, and then kill it as a power cut would."""
    process = start_hviskd(*command)
    wait_until(happened, process)
    process.kill()
    process.join()
