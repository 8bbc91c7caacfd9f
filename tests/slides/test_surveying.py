"""Looking at many slides, the broken ones too."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from distributed import LocalCluster
from PIL import Image
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.slides import find_cohort, survey
from tests.html_tables import read_tables
from tests.memory import PEAK_KIB, knows_its_peak
from tests.slides.make import patterned, stained, write_svs


def test_a_broken_slide_does_not_stop_the_others(tmp_path):
    write_svs(tmp_path / "a.svs", stained((300, 300), 1, 0.6))
    (tmp_path / "b.svs").write_bytes(b"no slide")
    whole = write_svs(tmp_path / "c.svs", patterned(600, 500), levels=1).read_bytes()
    (tmp_path / "c.svs").write_bytes(whole[: len(whole) // 2])
    write_svs(tmp_path / "d.svs", stained((300, 300), 1, 0.6), mpp=None)
    reports = survey(str(tmp_path))
    assert [report.path.name for report in reports] == ["a.svs", "b.svs", "c.svs", "d.svs"]
    assert [bool(report.problem) for report in reports] == [False, True, True, True]
    assert "damaged" in reports[2].problem
    assert "records no µm/px" in reports[3].problem
    assert reports[0].facts["mpp"] == 0.5
    assert reports[0].picture is None
    names = [row[0] for row in read_tables(reports._repr_html_())]
    assert names == ["slide", "a.svs", "slide", "b.svs", "c.svs", "d.svs"]
    assert read_tables(reports[0]._repr_html_())[1][0] == "a.svs"
    assert "damaged" in reports[2]._repr_html_()
    (pictured,) = survey(tmp_path / "a.svs", pictures=tmp_path / "pictures")
    assert "image/jpeg" in pictured._repr_html_()


def test_a_listed_mpp_goes_before_the_one_for_all(tmp_path):
    slides = [write_svs(tmp_path / f"{name}.svs", patterned(300, 300), mpp=None) for name in "ab"]
    table = tmp_path / "mpp.csv"
    table.write_text("slide,mpp\na.svs,0.25\n")
    reports = survey(find_cohort(slides, slide_mpp=0.5, mpp_csv=table))
    assert [report.facts["mpp"] for report in reports] == [0.25, 0.5]


@pytest.mark.slow
def test_a_slide_without_tissue_says_so(tmp_path):
    grey = np.repeat(stained((300, 300), 1, 0.6)[..., 1:2], 3, axis=-1)
    slides = [write_svs(tmp_path / "grey.svs", grey), write_svs(tmp_path / "red.svs", stained((300, 300), 1, 0.6))]
    notes = [report.facts["notes"] for report in survey(slides, pictures=tmp_path / "out")]
    assert notes[0][0].startswith("no tissue was found")
    assert notes[1] == []


@pytest.mark.slow
def test_each_slide_has_a_picture_of_its_own(tmp_path):
    slides = [
        write_svs(tmp_path / "x/a.svs", stained((300, 300), 1, 0.6)),
        write_svs(tmp_path / "y/a.svs", stained((300, 300), 1, 0.6)),
    ]
    reports = survey(slides, pictures=tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.svs.2.png", "a.svs.png"]
    for report in reports:
        assert report.tissue_mm2 > 0.02
        Image.open(report.picture).verify()


PICTURES = (
    PEAK_KIB
    + """
import sys
from hviskd.slides import survey

for count in (4, 14):
    survey([sys.argv[1]] * count, pictures=sys.argv[2], progress=lambda *_: None)
    print(peak_kib())
"""
)


@pytest.mark.slow
@knows_its_peak
def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path):
    slide = write_svs(tmp_path / "a.svs", stained((600, 500), 1, 0.6))
    command = [sys.executable, "-c", PICTURES, slide, tmp_path / "pictures"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    few, many = map(int, done.stdout.split())
    assert many - few < 15 * 1024  # a picture takes five


@pytest.mark.slow
def test_a_cluster_looks_at_the_same_slides_and_draws_the_same_pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # paths are relative to where the command runs
    write_svs(Path("slides/a.svs"), stained((300, 300), 1, 0.6))
    Path("slides/b.svs").write_bytes(b"no slide")
    write_svs(Path("slides/c.svs"), patterned(300, 300))
    with LocalCluster(n_workers=1, processes=False, dashboard_address=":0", silence_logs="CRITICAL") as cluster:
        words = ["slides", "info", "slides"]
        here = [CliRunner().invoke(app, [*words, *more]) for more in ([], ["-o", "here"])]
        address = ["--scheduler", cluster.scheduler_address]
        there = [CliRunner().invoke(app, [*words, *more, *address]) for more in ([], ["-o", "there"])]
    for one, other in zip(here, there, strict=True):
        assert one.exit_code == other.exit_code == 1
        assert one.stdout.replace("here", "there") == other.stdout
        assert other.stderr.endswith(one.stderr)
    assert sorted(file.name for file in Path("there").iterdir()) == ["a.svs.png", "c.svs.png"]
    for file in Path("here").iterdir():
        assert file.read_bytes() == (Path("there") / file.name).read_bytes()
