"""The CSVs that people write: whatever a spreadsheet makes of them is read, and what is wrong is told with its line."""

import math

import pytest

from hviskd.csv_table import decimal, file_name, read_csv
from hviskd.errors import DataError


def test_headings_and_cells_are_read_however_a_spreadsheet_wrote_them(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("\ufeff Slide ,MPP,note\r\n a.svs , 0.5,x\r\n\r\nb.svs\r\nc.svs,1,y,,\r\n".encode())
    rows = [row for _, row in read_csv(path, "slide", "mpp")]
    assert rows == [
        {"slide": "a.svs", "mpp": "0.5", "note": "x"},
        {"slide": "b.svs", "mpp": "", "note": ""},
        {"slide": "c.svs", "mpp": "1", "note": "y"},
    ]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_semicolons_and_tabs_part_columns_too(tmp_path, mark):
    (tmp_path / "a.csv").write_text(f"slide{mark}mpp\na,b.svs{mark}0,5\n")
    assert [row for _, row in read_csv(tmp_path / "a.csv", "slide", "mpp")] == [{"slide": "a,b.svs", "mpp": "0,5"}]


def test_the_name_of_a_file_on_any_system():
    assert [file_name(path) for path in ("a.svs", "x/a.svs", r"C:\x\a.svs", "")] == ["a.svs"] * 3 + [""]


def test_a_row_knows_its_line(tmp_path):
    (tmp_path / "a.csv").write_text('slide\n"a\nb"\nc\n')
    assert [place for place, _ in read_csv(tmp_path / "a.csv", "slide")] == [
        f"{tmp_path / 'a.csv'}: line {n}" for n in (3, 4)
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "has no columns slide and mpp; its first line must be slide,mpp"),
        (b"slide|mpp\na|1\n", "has no columns slide and mpp"),
        (b"slide,mpp\na,0.5\nb,0,5\n", "line 3: has more values than columns; quote values that contain commas"),
        (b"slide,mpp,Slide\na,1,b\n", "has column 'slide' more than once"),
        (b'slide,mpp\n"a,1\nb,2\n', "not a CSV in UTF-8"),
        (b"slide,mpp\n\xff\xfe,1\n", "not a CSV in UTF-8"),
        (b"slide,mpp\n" + b"x" * 200_000 + b",1\n", "not a CSV in UTF-8"),
    ],
)
def test_what_is_no_such_csv_is_one_line(tmp_path, content, message):
    path = tmp_path / "a.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        list(read_csv(path, "slide", "mpp"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "number"),
    [("0.5", 0.5), ("0,25", 0.25), (" 1e-3", 1e-3), ("1_000", math.nan), ("", math.nan), ("1,000.5", math.nan)],
)
def test_a_decimal_point_or_comma_makes_a_number_and_all_else_nan(text, number):
    assert decimal(text) == pytest.approx(number, nan_ok=True)
