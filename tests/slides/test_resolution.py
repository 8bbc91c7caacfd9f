"""Which µm/px is believed."""

from pathlib import Path

import pytest

from hviskd.errors import DataError
from hviskd.slides import mpp_of, read_mpp_csv
from hviskd.slides.resolution import settle_mpp

SLIDE = Path("slide.svs")


def test_the_mean_of_x_and_y_is_used():
    assert settle_mpp(SLIDE, (0.499, 0.5), None) == (pytest.approx(0.4995), ())


def test_a_difference_between_x_and_y_is_told():
    mpp, notes = settle_mpp(SLIDE, (0.5, 0.508), None)
    assert mpp == pytest.approx(0.504)
    assert notes == ("µm/px differs between x (0.5) and y (0.508); the mean is used",)


@pytest.mark.parametrize("recorded", [(352.9, 352.9), (0.5, 0.0), (-1.0, -1.0), (float("nan"), 0.5), (0.01, 0.01)])
def test_an_absurd_record_is_refused_but_can_be_overruled(recorded):
    with pytest.raises(DataError, match="which no scanner has; give it with `slide_mpp`"):
        settle_mpp(SLIDE, recorded, None)
    assert settle_mpp(SLIDE, recorded, 0.25)[0] == 0.25


@pytest.mark.parametrize("given", [0.0, -0.5, 353.0, float("nan"), float("inf")])
def test_an_absurd_wish_is_refused(given):
    with pytest.raises(DataError, match=r"slide\.svs: the given .* is not between 0.05 and 20"):
        settle_mpp(SLIDE, (0.5, 0.5), given)


def test_a_csv_gives_the_mpp_of_many_slides(tmp_path):
    path = tmp_path / "mpp.csv"
    path.write_text("slide,hospital,mpp\na.svs,X,0.25\nb,Y,0.5\n", encoding="utf-8-sig")
    table = read_mpp_csv(path, [Path("y/c.svs"), Path("y/a.svs")])
    assert mpp_of(Path("x/a.svs"), table) == 0.25
    assert mpp_of(Path("b.ndpi"), table) == 0.5
    assert mpp_of(Path("c.svs"), table) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name,mpp\na,0.5\n", "has no columns slide and mpp"),
        ("", "has no columns slide and mpp"),
        ("slide,mpp\na,half\n", "line 2: µm/px must be from 0.05 to 20, not 'half'"),
        ("slide,mpp\na,0.5\nb\n", "line 3: µm/px must be from 0.05 to 20, not ''"),
        ("slide,mpp\na,0.5\na,0.25\n", "line 3: a has two different values of µm/px"),
        ("slide,mpp\na,400\n", "line 2"),
        (b"slide,mpp\n\xff\xfe,0.5\n", "not a CSV in UTF-8"),
    ],
)
def test_a_csv_that_is_wrong_says_where(tmp_path, content, said):
    path = tmp_path / "mpp.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=said):
        read_mpp_csv(path)


def test_a_missing_csv_is_said(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_mpp_csv(tmp_path / "mpp.csv")


def test_a_csv_of_other_slides_is_refused(tmp_path):
    path = tmp_path / "mpp.csv"
    path.write_text("slide,mpp\na.svs,0.25\nb,0.5\n")
    with pytest.raises(DataError, match=r"lists none of these slides, but a\.svs, b; correct"):
        read_mpp_csv(path, [Path("a.tif"), Path("c.svs")])
