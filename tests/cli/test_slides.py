"""`hviskd slides info`, run as a user runs it."""

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from hviskd.cli.slides import slides_app
from hviskd.errors import DataError
from tests.slides.make import stained, write_svs

app = typer.Typer()
app.add_typer(slides_app, name="slides")


def info(*arguments):
    return CliRunner().invoke(app, ["slides", "info", *map(str, arguments)])


@pytest.mark.slow
def test_good_slides_are_shown_and_drawn(tmp_path):
    write_svs(tmp_path / "a.svs", stained((300, 400), 1, 0.6))
    done = info(tmp_path, "-o", tmp_path / "out")
    assert done.exit_code == 0
    for said in ("a.svs", "aperio", "400 × 300", "20×", "1 2 4", "mm²", f"1 image in {tmp_path / 'out'}"):
        assert said in done.output
    Image.open(tmp_path / "out/a.svs.png").verify()


@pytest.mark.slow
@pytest.mark.usefixtures("unpainted")
def test_what_counts_as_tissue_can_be_said(tmp_path):
    write_svs(tmp_path / "a.svs", stained((300, 400), 1, 0.6))
    area = "1e9"
    done = info(tmp_path, "-o", tmp_path / "out", "--tissue-area", area, "--tissue-density", "0.1")
    assert done.exit_code == 0
    assert "0 mm²" in done.output
    assert isinstance(info(tmp_path, "--keep-ink").exception, DataError)  # nothing would come of it


def test_a_broken_slide_is_one_line_and_the_status_is_1(tmp_path):
    write_svs(tmp_path / "a.svs", stained((300, 400), 1, 0.6))
    (tmp_path / "b.svs").write_bytes(b"\x00" * 100)
    done = info(tmp_path)
    assert done.exit_code == 1
    assert "400 × 300" in done.stdout
    errors = [line for line in done.stderr.splitlines() if line]
    assert len(errors) == 1
    assert errors[0].startswith(f"error: {tmp_path / 'b.svs'}: damaged")


def test_mpp_can_be_given_for_all_and_for_each(tmp_path):
    write_svs(tmp_path / "a.svs", stained((300, 400), 1, 0.6), mpp=None)
    write_svs(tmp_path / "b.svs", stained((300, 400), 1, 0.6), mpp=0.5)
    table = tmp_path / "mpp.csv"
    table.write_text("slide,mpp\na.svs,0.31\n")
    assert "0.31" in info(tmp_path, "--mpp-csv", table).stdout
    done = info(tmp_path, "--slide-mpp", "0.25")
    assert done.exit_code == 0
    assert done.stdout.count("note:") == 1
    assert "the file records 0.5 µm/px; the given 0.25 is used" in done.stdout


def test_names_with_markup_in_them_are_shown_as_they_are(tmp_path):
    write_svs(tmp_path / "a[bold].svs", stained((300, 400), 1, 0.6))
    assert "a[bold].svs" in info(tmp_path).stdout


def test_what_is_wrong_with_one_slide_is_told_in_options(tmp_path):
    write_svs(tmp_path / "a.svs", stained((300, 400), 1, 0.6), mpp=None)
    done = info(tmp_path)
    assert "error: " in done.stderr
    assert "--slide-mpp" in done.stderr
    assert "`" not in done.stderr
