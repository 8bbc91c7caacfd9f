import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from distributed import LocalCluster
from PIL import Image
from shapely import box
from typer.testing import CliRunner

from hviskd.agreement import AgreementSettings, agree, save_agreement
from hviskd.agreement.tables import mean_rows
from hviskd.annotations import Outlines, Region, write_geojson
from hviskd.cli.app import app
from hviskd.errors import DataError
from hviskd.progress import silent
from hviskd.running import Dask, Part
from hviskd.segmentation import save_slide_map
from hviskd.slides.slide_files import slide_fingerprint
from tests.agreement.rectangles import WHOLE, halves_map
from tests.html_tables import read_tables
from tests.slides.make import write_svs

THUMBNAIL = np.full((45, 64, 3), 230, np.uint8)


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    for slide, border_px in (("a", 320), ("b", 352)):
        save_slide_map(halves_map(slide=f"{slide}.svs"), tmp_path / "maps" / slide, THUMBNAIL)
        regions = [Region("left", box(0, 0, border_px, 448)), Region("right", box(border_px, 0, 640, 448))]
        write_geojson(Outlines.of(regions, size=WHOLE), tmp_path / "drawn" / f"{slide}.geojson")
    return tmp_path


def _run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["agree", *map(str, words)])
    return result.exit_code, result.output


@pytest.mark.slow
def test_a_cohort_gives_tables_summary_and_pictures(cohort: Path) -> None:
    out = cohort / "out"
    status, words = _run(cohort / "maps", "--annotations", cohort / "drawn", "-o", out, "--reach-um", 40)
    assert status == 0, words
    assert "means over 2 slides" in words
    assert "not a medical device" in words
    table = pd.read_csv(out / "agreement.csv").set_index(["slide", "class", "resolution"])
    assert table.loc[("a.svs", "left", "level-0"), "dice"] == 1
    assert table.loc[("b.svs", "left", "level-0"), "dice"] == pytest.approx(2 * 320 / 672)
    assert table.loc[("b.svs", "right", "cell"), "hausdorff95_um"] == pytest.approx(8)
    profile = pd.read_csv(out / "boundary.csv")
    mean = profile[(profile["slide"] == "(mean)") & (profile["class"] == "left")]
    np.testing.assert_array_equal(mean["from_um"], np.arange(-40, 40, 8))
    assert mean["probability"].is_monotonic_decreasing
    assert (mean["sd"] > 0).all()
    assert (mean["slides"] == 2).all()
    summary = json.loads((out / "summary.json").read_text())
    assert summary["maps"][0]["cells_compared"] == 280
    means = {(row["class"], row["resolution"]): row for row in summary["means"]}
    assert means["(overall)", "level-0"]["dice"] == pytest.approx((1 + 0.95) / 2)
    assert means["(overall)", "level-0"]["hausdorff95_um"] is None
    assert "0.975 (2)" in (out / "summary.md").read_text()
    for name in ("slide-1-a.svs.png", "slide-2-b.svs.png", "boundary.png"):
        with Image.open(out / name) as picture:
            assert min(picture.size) > 300


@pytest.mark.slow
def test_a_coco_file_outlines_a_whole_cohort(cohort: Path) -> None:
    images = [{"id": slide, "file_name": f"{slide}.svs", "width": 640, "height": 448} for slide in "ab"]
    boxes = [
        {"image_id": slide, "category_id": side, "segmentation": [], "bbox": [border * side, 0, width, 448]}
        for slide, border in (("a", 320), ("b", 352))
        for side, width in ((0, border), (1, 640 - border))
    ]
    document = {
        "images": images,
        "annotations": boxes,
        "categories": [{"id": 0, "name": "left"}, {"id": 1, "name": "right"}],
    }
    (cohort / "all.json").write_text(json.dumps(document))
    by_slide, of_all = (agree(cohort / "maps", cohort / drawn) for drawn in ("drawn", "all.json"))
    assert of_all.slides == by_slide.slides == ("a.svs", "b.svs")
    pd.testing.assert_frame_equal(of_all.means(), by_slide.means())
    with pytest.raises(DataError, match="one annotation for 2 slides"):
        agree(cohort / "maps", cohort / "drawn" / "a.geojson")


@pytest.mark.slow
@pytest.mark.usefixtures("unpainted")
def test_one_slide_has_no_band(cohort: Path) -> None:
    status, _ = _run(cohort / "maps" / "a", "--annotations", cohort / "drawn" / "a.geojson", "-o", cohort / "one")
    assert status == 0
    profile = pd.read_csv(cohort / "one" / "boundary.csv")
    assert profile["sd"].isna().all()


@pytest.mark.slow
def test_nothing_foreign_is_replaced_and_nothing_half_done_is_left(cohort: Path) -> None:
    foreign = cohort / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years of work")
    for slide in "ab":
        (cohort / "drawn" / f"{slide}.geojson").unlink()
    status, words = _run(cohort / "maps", "--annotations", cohort / "drawn", "-o", foreign, "--overwrite")
    assert status == 2
    assert "no agreement" in words
    status, words = _run(cohort / "maps", "--annotations", cohort / "drawn", "-o", cohort / "out")
    assert status == 2
    assert "no annotation" in words
    assert not (cohort / "out").exists()
    assert not list(cohort.glob(".partial-*"))


@pytest.mark.slow
@pytest.mark.usefixtures("unpainted")
def test_models_with_other_classes_are_measured_on_what_they_know(cohort: Path) -> None:
    other = halves_map(slide="a.svs", model="other", classes=("left", "bone"))
    save_slide_map(other, cohort / "other" / "a", THUMBNAIL)
    status, words = _run(
        cohort / "maps" / "a", cohort / "other", "--annotations", cohort / "drawn" / "a.geojson", "-o", cohort / "two"
    )
    assert status == 0, words
    table = pd.read_csv(cohort / "two" / "agreement.csv")
    assert set(table[table["model"] == "other"]["class"]) == {"left", "(overall)"}
    assert table[(table["model"] == "other") & (table["class"] == "left")]["dice"].eq(1).all()


@pytest.mark.slow
def test_the_slide_itself_stands_in_the_picture_if_it_is_the_one_that_was_mapped(tmp_path: Path) -> None:
    image = np.full((448, 640, 3), (255, 0, 255), np.uint8)
    slide = write_svs(tmp_path / "slides" / "deeper" / "a.svs", image, mpp=0.25, quality=None)
    mapped = halves_map(slide="a.svs", slide_fingerprint=slide_fingerprint(slide))
    save_slide_map(mapped, tmp_path / "maps" / "a", THUMBNAIL)
    regions = [Region("left", box(0, 0, 320, 448)), Region("right", box(320, 0, 640, 448))]
    drawn = write_geojson(Outlines.of(regions, size=WHOLE), tmp_path / "a.geojson")
    arguments = (tmp_path / "maps", "--annotations", drawn or tmp_path / "a.geojson", "--slides", tmp_path / "slides")
    status, words = _run(*arguments, "-o", tmp_path / "out")
    assert status == 0, words
    with Image.open(tmp_path / "out" / "slide-1-a.svs.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert (pixels == (255, 0, 255)).all(axis=-1).mean() > 0.05
    write_svs(slide, image[::-1] // 2, mpp=0.25, quality=None)
    status, words = _run(*arguments, "-o", tmp_path / "again")
    assert status == 2
    assert "has changed since it was mapped" in words
    assert not (tmp_path / "again").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("unpainted")
def test_a_slide_that_cannot_be_compared_does_not_stop_the_others(cohort: Path) -> None:
    (cohort / "drawn" / "a.geojson").write_text('{"type": "FeatureCollection", "features": [')
    (cohort / "maps" / "c").mkdir()
    (cohort / "maps" / "c" / "map.npz").write_bytes(b"half")
    out = cohort / "out"
    status, words = _run(cohort / "maps", "--annotations", cohort / "drawn", "-o", out)
    assert status == 1
    assert "error: a.svs was not compared" in words
    assert "error: c was not compared" in words
    assert set(pd.read_csv(out / "agreement.csv")["slide"]) == {"b.svs"}
    assert {entry["slide"] for entry in json.loads((out / "summary.json").read_text())["failed"]} == {"a.svs", "c"}
    assert "**not compared: a.svs**" in (out / "summary.md").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("unpainted")
def test_the_same_from_python_and_drawn_when_asked(cohort: Path) -> None:
    told: list[tuple[int, int, str]] = []
    found = agree(str(cohort / "maps"), str(cohort / "drawn"), progress=lambda *at: told.append(at))
    assert found.slides == ("a.svs", "b.svs")
    assert told == [(1, 2, "maps: a.svs"), (2, 2, "maps: b.svs")]
    assert found.to_dataframe().set_index(["slide", "class", "resolution"]).loc[("a.svs", "left", "cell"), "dice"] == 1
    assert found.draw("b.svs").axes
    (again,) = found.compared("b.svs")
    assert again.agreement is found.maps[1]
    assert [row[0] for row in read_tables(again._repr_html_())] == ["class", "left", "right"]
    assert read_tables(found._repr_html_())[1][:3] == ["student", "left", "level-0"]
    folder = save_agreement(found, str(cohort / "saved"))
    assert sorted(path.name for path in folder.glob("*.png")) == [
        "boundary.png",
        "slide-1-a.svs.png",
        "slide-2-b.svs.png",
    ]
    with pytest.raises(DataError, match="already exists"):
        save_agreement(found, folder)
    with pytest.raises(DataError, match="`bin_um=.*`reach_um="):
        agree(cohort / "maps", cohort / "drawn", settings=AgreementSettings(bin_um=0))


@pytest.mark.slow
def test_a_mask_without_a_legend_asks_for_one(cohort: Path) -> None:
    for slide in "ab":
        (cohort / "drawn" / f"{slide}.geojson").unlink()
        Image.fromarray(np.zeros((448, 640, 3), np.uint8)).save(cohort / "drawn" / f"{slide}_L.png")
    out = cohort / "out"
    status, words = _run(cohort / "maps", "--annotations", cohort / "drawn", "-o", out)
    assert status == 2
    assert "needs a legend" in words
    assert "1 more problem" in " ".join(words.split())
    assert not out.exists()


@pytest.mark.slow
def test_a_cluster_measures_the_same_maps(cohort: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cohort)
    (cohort / "maps" / "c").mkdir()
    (cohort / "maps" / "c" / "map.npz").write_bytes(b"half")
    (cohort / "drawn" / "a.geojson").write_text('{"type": "FeatureCollection", "features": [')
    here = agree("maps", "drawn")
    with LocalCluster(n_workers=1, processes=False, dashboard_address=":0", silence_logs="CRITICAL") as cluster:
        there = agree("maps", "drawn", running=Dask(cluster.scheduler_address), progress=silent)
    assert [one.slide for one in there.maps] == [one.slide for one in here.maps] == ["b.svs"]
    np.testing.assert_array_equal(mean_rows(there.means()), mean_rows(here.means()))
    assert there.failed == here.failed
    assert there.failed.keys() == {"a.svs", "c"}
    assert there.failed["a.svs"].startswith("drawn/a.geojson: ")
    assert [pair.folder for pair in there.pairs] == [Path("maps/b")]
    (cohort / "maps" / "c" / "map.npz").unlink()
    parts = [Part(number, 3) for number in (1, 2, 3)]  # of the two maps, of equal size
    with pytest.raises(DataError, match="no maps in this part"):
        agree("maps", "drawn", running=parts[2])
    assert agree("maps", "drawn", running=parts[1]).slides == here.slides
