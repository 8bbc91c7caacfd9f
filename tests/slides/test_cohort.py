"""Lists of slides: from files, folders and tables, each slide once and with the µm/px that a user gave."""

import pytest

from hviskd.errors import DataError
from hviskd.slides import find_cohort
from tests.slides.make import glass, write_svs


@pytest.fixture
def slides(tmp_path):
    paths = [tmp_path / "slides" / f"{name}.svs" for name in ("first", "second", "third")]
    for path in paths:
        write_svs(path, glass((64, 64)), levels=1)
    return paths


def test_one_path_lists_as_one_among_several(slides, tmp_path):
    folder = tmp_path / "slides"
    assert find_cohort(str(folder)) == find_cohort(folder) == find_cohort([str(folder)]) == find_cohort(slides)
    assert [slide.path for slide in find_cohort(slides[0])] == slides[:1]


def test_a_table_lists_slides_and_their_mpp(slides, tmp_path):
    table = tmp_path / "slides" / "cohort.csv"
    table.write_text("slide,mpp,patient\nfirst.svs,,P1\nthird.svs,0.25,P2\nmissing.svs,,P3\n")
    listed = find_cohort([table, slides[0]], slide_mpp=1.0)
    assert [(slide.path.name, slide.slide_mpp) for slide in listed] == [
        ("first.svs", 1.0),
        ("third.svs", 0.25),
        ("missing.svs", 1.0),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file\na.svs\n", "no column slide"),
        ("slide\n", "lists no slides"),
        ("slide,mpp\na.svs,half\n", "line 2: 'half' is not a number"),
        ("slide,mpp\n,0.5\n", "line 2: lists no slide"),
        (b"slide\n\xff\xfe\n", "not a CSV in UTF-8"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, content, message):
    table = tmp_path / "cohort.csv"
    table.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=message):
        find_cohort([table])


def test_a_tables_headings_and_zeros_are_taken_seriously(slides, tmp_path):
    table = tmp_path / "slides.csv"
    table.write_text(f"Slide, MPP\n{slides[0]},0\n")
    assert [slide.slide_mpp for slide in find_cohort([table], slide_mpp=0.5)] == [0]
    table.write_text(f"slide,mpp\n{slides[0]},1\n{slides[0]},0.5\n")
    with pytest.raises(DataError, match="two different values"):
        find_cohort([table])
    table.write_text(f"slide,mpp\n{slides[0]},0.8\n")
    assert find_cohort([slides[0]], mpp_csv=table)[0].slide_mpp == 0.8


def test_a_listed_name_that_no_file_can_have_is_refused(tmp_path):
    (tmp_path / "list.csv").write_text("slide\na\0b.svs\n")
    with pytest.raises(DataError, match="line 2: lists no slide"):
        find_cohort([tmp_path / "list.csv"])
