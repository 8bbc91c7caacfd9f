"""A report holds what the folders say, hides paths and patients, and lets nothing foreign into the page."""

import base64
import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hviskd.cli.app import app
from hviskd.errors import DataError
from hviskd.evaluation import evaluate, save_evaluation
from hviskd.pictures import new_figure, save_figure
from hviskd.reports.report import render, write_report
from hviskd.reports.section import WIDEST_PX, Section, picture_of
from hviskd.segmentation.outputs import save_slide_map
from hviskd.tiles import check_leak
from hviskd.tiles.leaks import without_names

from ..browser import look_at
from ..evaluation.conftest import colour_model, write_tiles
from ..segmentation.make import slide_map

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """An evaluation whose splits leak, with a hostile class, and maps of two slides, one of which failed."""
    work = tmp_path_factory.mktemp("work")
    tileset = write_tiles(work / "tiles", splits=("test",))
    models = [colour_model(tileset, name="colours"), colour_model(tileset, name=HOSTILE, channels=(1,))]
    evaluation = evaluate(models, tileset, replicates=100)
    save_evaluation(evaluation, work / "evaluation")
    table = work / "evaluation" / "table.md"
    crossing = "in more than one split"
    leak = f"LEAK: 2 patients stand {crossing} (P0, Anna (Example)); 1 slide stands {crossing} (S)."
    table.write_text(
        f"{leak}\n\n{HOSTILE}\n\n![x](http://example.org/x.png) [y](http://example.org)\n\n{table.read_text()}"
    )
    card = json.loads((work / "evaluation" / "evaluation.json").read_text())
    (work / "evaluation" / "evaluation.json").write_text(json.dumps(card | {"leak": leak}))
    mapped = slide_map([0, 0, 1, 1], [0, 1, 0, 1], notes=("its stain could not be fitted",), unsure_below=0.6)
    save_slide_map(mapped, work / "maps" / "section", np.full((90, 128, 3), 240, np.uint8))
    listed = ["slide,folder,state,problem", "section.svs,section,done,", "bad.svs,bad,failed,x"]
    (work / "maps" / "slides.csv").write_text("\n".join(listed))
    return work


@pytest.fixture(scope="module")
def page(folders):
    """The page, written by the verb, and what a browser made of it."""
    path = folders / "out" / "report.html"
    done = CliRunner().invoke(
        app, ["report", str(folders / "evaluation"), str(folders / "maps"), "-o", str(path), "--title", f"Hm {HOSTILE}"]
    )
    assert done.exit_code == 0, done.output
    assert "Slide maps: maps (1 image)" in done.output
    return path, look_at(path)


def test_it_opens_without_network_or_complaint(page):
    path, seen = page
    assert seen.requests == [path.as_uri()]
    assert seen.complaints == []
    assert not seen.wider_than_screen
    assert len(seen.picture_widths) == 7  # side by side, confidence, ROC and confusion of two models, one map
    assert all(200 < width <= WIDEST_PX for width in seen.picture_widths)


def test_it_says_what_the_folders_say(page, folders):
    _, seen = page
    assert seen.headings == [
        "In short",
        "Evaluation: evaluation",
        "Slide maps: maps",
        "Limitations",
        "How to reproduce",
    ]
    card = json.loads((folders / "evaluation" / "evaluation.json").read_text())
    for model in card["models"]:
        assert f"{model['metrics']['top1']['value']:.3f} (" in seen.text
    for expected in (
        "LEAK: 2 patients stand in more than one split; 1 slide stands in more than one split.",
        "1 slide mapped, 1 failed.",
        "Failed (reasons in slides.csv): bad.svs.",
        "section.svs: its stain could not be fitted",
        "unsure below 0.6",
        "hviskd segment SLIDES -m student -o maps --tissue 0.5 --unsure-below 0.6",
        "not a medical device",
    ):
        assert expected in seen.text


def test_no_path_and_no_patient_is_in_it(page, folders):
    path, seen = page
    source = path.read_text()
    assert str(folders) not in source
    assert "Anna" not in source
    assert "P0" not in seen.text


def test_foreign_words_stay_words(page):
    path, seen = page
    assert HOSTILE in seen.text
    source = path.read_text()
    assert "<script" not in source
    assert "onerror=alert(2)>" not in source
    assert 'src="http' not in source
    assert 'href="http' not in source


def test_leak_statements_keep_their_counts_without_names(tmp_path):
    tileset = write_tiles(tmp_path / "tiles", patients=4, tiles=2, splits=("train", "test"))
    table = tileset.table
    crossing = table.assign(split=["train", "test"] * (len(table) // 2))
    statement = check_leak(replace(tileset, table=crossing)).statement
    assert "P1" in statement
    bare = without_names(f"Before. {statement} After (kept).")
    assert "P1" not in bare
    assert bare.startswith("Before. LEAK: 4 patients appear in more than one split")
    assert bare.endswith("After (kept).")


def test_pictures_are_made_small_and_hold_nothing_but_pixels(tmp_path):
    path = tmp_path / "wide.png"
    figure = new_figure(20, 2)
    figure.subplots().set_title("wide")
    figure.savefig(path, metadata={"Author": "Anna Example"})
    taken = picture_of(path, "wide")
    assert taken.width_px == 20 * 96
    assert taken.height_px == 2 * 96
    with Image.open(io.BytesIO(base64.b64decode(taken.uri.removeprefix("data:image/webp;base64,")))) as opened:
        assert opened.size == (WIDEST_PX, WIDEST_PX // 10)
        assert "Anna" not in str(opened.info)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match="cannot be read as an image"):
        picture_of(path, "torn")


def test_the_interval_of_a_number_stays_in_one_piece():
    text = render(
        [Section("Numbers", ("said",), tables=("| a | b |\n|---|---|\n| x | 0.5 (0.4 to 0.6) |",))], "Numbers"
    )
    assert "<td>0.5 (0.4\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}0.6)</td>" in text


def test_an_empty_section_still_makes_a_page():
    text = render([Section("Nothing", ("said",))], "Empty")
    assert "<h1>Empty</h1>" in text


def test_it_begins_with_the_verdict_and_shows_pictures_before_tables(page, folders):
    _, seen = page
    card = json.loads((folders / "evaluation" / "evaluation.json").read_text())
    verdict = " ".join(card["verdict"]["sentences"])
    first_picture = seen.text.index("The models side by side")
    assert seen.text.index("In short") < seen.text.index(verdict) < first_picture < seen.text.index("macro AUROC")
    assert seen.text.count(verdict) == 1  # not in the table's text again


def test_an_evaluation_of_an_earlier_version_has_no_verdict_to_begin_with(folders, tmp_path):
    shutil.copytree(folders / "evaluation", tmp_path / "evaluation")
    path = tmp_path / "evaluation" / "evaluation.json"
    card = json.loads(path.read_text())
    del card["verdict"]
    path.write_text(json.dumps(card))
    (section,) = write_report(tmp_path / "evaluation", tmp_path / "page.html")
    assert section.verdict == ()
    assert "Nothing is said of accuracy" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "-o", "r.html"], "nowhere: no such folder"),
        (["empty", "-o", "r.html"], "empty: contains no run"),
        (["evaluation", "-o", "r.pdf"], "must end in .html"),
        (["torn", "-o", "r.html"], "confidence.png: cannot be read as an image"),
        (["untabled", "-o", "r.html"], "table.md: no such file"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(arguments, message, folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for name in ("evaluation", "torn", "untabled"):
        shutil.copytree(folders / "evaluation", tmp_path / name)
    (tmp_path / "torn" / "confidence.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (tmp_path / "untabled" / "table.md").unlink()
    before = sorted(tmp_path.iterdir())
    done = CliRunner().invoke(app, ["report", *arguments])
    assert done.exit_code == 2
    assert message in done.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_figure_of_the_project_is_taken_too(tmp_path):
    figure = new_figure(4, 3)
    assert picture_of(figure, "plain").width_px == 4 * 96
    save_figure(figure, tmp_path / "plain.png")
    assert picture_of(tmp_path / "plain.png", "plain").height_px == 3 * 96


def test_what_a_notebook_shows_of_a_page_is_its_sections_titles(folders, tmp_path):
    sections = write_report(folders / "evaluation", tmp_path / "page.html")
    assert sections[0].pictures
    assert len(repr(sections)) < 200
    assert sections[0].title in repr(sections)
