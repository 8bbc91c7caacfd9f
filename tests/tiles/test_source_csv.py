"""A CSV gives every picture its slide and patient, or an error that says what to mend."""

import pytest

from hviskd.errors import DataError
from hviskd.tiles.rows import TileSource
from hviskd.tiles.source_csv import CsvColumns, read_sources

FILES = ("A/x/1.png", "A/2.png", "B/3.png")


def read(tmp_path, text, files=FILES, **columns):
    path = tmp_path / "index.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_sources(path, files, CsvColumns(**columns))


@pytest.mark.parametrize(
    "names",
    [
        ("A/x/1.png", "A/2.png", "B/3.png"),
        ("1.png", "2.png", "3.png"),
        ("1", "2", "3"),
        ("A\\x\\1.png", "./A/2.png", "B/3.png"),
    ],
)
def test_files_may_be_named_by_path_name_or_stem(tmp_path, names):
    rows = "".join(f"{name},s{number},p{number}\n" for number, name in enumerate(names))
    expected = [TileSource(slide=f"s{number}", patient=f"p{number}") for number in range(3)]
    assert read(tmp_path, f"file,slide,patient\n{rows}") == expected


@pytest.mark.parametrize("text", ["file;patient\n1;Ω\n2; q \n3;\n", "\ufefffile\tpatient\n1\tΩ\n2\tq\n3\t\n"])
def test_spreadsheets_of_any_kind_are_read(tmp_path, text):
    assert [row.patient for row in read(tmp_path, text)] == ["Ω", "q", None]


def test_names_that_look_like_something_else_stay_names(tmp_path):
    rows = read(tmp_path, "file,patient\n1,007\n2,NA\n3,1e5\n")
    assert [row.patient for row in rows] == ["007", "NA", "1e5"]


def test_rows_of_another_length_than_the_head_never_shift_columns(tmp_path):
    assert read(tmp_path, "file,patient,remark\n1,p\n2,q\n3,r,x\n")[0] == TileSource(patient="p")
    with pytest.raises(DataError, match=r"index\.csv"):
        read(tmp_path, "file,patient\n1,Smith, John\n2,Roe, Jane\n3,Doe, Jo\n")


def test_places_are_whole_numbers(tmp_path):
    rows = read(tmp_path, "file,slide,x_px,y_px\n1,s,10,20\n2,s,,\n3,s,-5,0\n")
    assert [(row.x_px, row.y_px, row.side_px) for row in rows] == [(10, 20, None), (None, None, None), (-5, 0, None)]
    for bad in ("ten", "1.5", "1e400"):
        with pytest.raises(DataError, match="x_px"):
            read(tmp_path, f"file,slide,x_px\n1,s,{bad}\n2,s,1\n3,s,1\n")


def test_columns_of_other_names(tmp_path):
    rows = read(tmp_path, "name,case\n1,p\n2,p\n3,q\n", file="name", patient="case")
    assert rows[2] == TileSource(patient="q")
    assert read(tmp_path, "Name,Case\n1,p\n2,p\n3,q\n", file="name", patient="CASE") == rows


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"file": "name"}, "no column 'name', only file, patient; .*`columns.file`"),
        ({"slide": "block"}, "no column 'block', only file, patient; .*`columns.slide`"),
        ({"patient": "case"}, "no column 'case'"),
    ],
)
def test_a_missing_column_is_named_beside_those_there_are(tmp_path, columns, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, "file,patient\n1,p\n2,p\n3,p\n", **columns)


def test_a_csv_without_slide_and_patient_is_no_help(tmp_path):
    with pytest.raises(DataError, match="`columns.slide` or `columns.patient`"):
        read(tmp_path, "file,age\n1,50\n")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1,p\n2,p\n", r"without a row \(1\): B/3.png;"),
        ("1,p\n2,p\n3,p\n4,p\n5,p\n6,p\n7,p\n", r"rows without an image \(4\): 4, 5, 6, …;"),
        ("1,p\n2,p\n3,p\n3,q\n", r"contradicting rows \(1\): 3;"),
        ("x,p\ny,p\n", r"without a row \(3\): A/x/1.png, A/2.png, B/3.png;"),
    ],
)
def test_rows_that_do_not_fit_the_pictures_are_refused(tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, f"file,patient\n{rows}")


def test_a_name_that_two_pictures_share_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"names of more than one image \(1\): 1; give their paths"):
        read(tmp_path, "file,patient\n1,p\n2,q\n", files=("A/1.png", "A/2.png", "B/1.png"))


def test_rows_that_only_repeat_each_other_are_one(tmp_path):
    assert len(read(tmp_path, "file,patient,nucleus\n1,p,1\n1,p,2\n2,p,1\n3,q,1\n")) == 3


@pytest.mark.parametrize(
    "text", [b"", b"\xff\xfe\x00\x01", b"file,patient\n1,p,q,r\n2\n", b'file,patient\n"1,p\n', bytes(5000)]
)
def test_what_is_no_csv_is_refused(tmp_path, text):
    with pytest.raises(DataError, match=r"index\.csv"):
        read(tmp_path, text)


def test_a_missing_csv_is_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_sources(tmp_path / "no.csv", FILES, CsvColumns(slide="s", patient="p"))


@pytest.mark.parametrize("above", ["photos/", "data/photos/", "C:\\data\\photos\\", "/home/me/photos/"])
def test_paths_may_begin_above_the_imported_folder(tmp_path, above):
    lines = [f"{above}{file},p{number}" for number, file in enumerate(FILES)]
    rows = read(tmp_path, "\n".join(["file,patient", *lines]))
    assert [row.patient for row in rows] == ["p0", "p1", "p2"]


def test_paths_that_begin_at_different_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"images without a row \(2\): A/2.png, B/3.png"):
        read(tmp_path, "file,patient\na/A/x/1.png,p\nb/A/2.png,p\nb/B/3.png,p\n")
