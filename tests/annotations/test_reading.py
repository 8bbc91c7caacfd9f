import pytest

from hviskd.annotations import read_annotation
from hviskd.errors import DataError

from .make import SQUARE, feature, labelme, save


def test_the_content_decides_and_not_the_name(tmp_path):
    as_json = save(tmp_path / "qupath.json", feature([SQUARE], classification="a"))
    as_geojson = save(tmp_path / "labelme.geojson", labelme([{"label": "b", "points": SQUARE}]))
    assert read_annotation(as_json).classes == ("a",)
    assert read_annotation(str(as_geojson)).classes == ("b",)


@pytest.mark.parametrize("content", ["{}", "3", "null", '"text"', '{"type": "Polygon"}', '{"type": ["Feature"]}'])
def test_json_of_another_kind_is_refused(tmp_path, content):
    with pytest.raises(DataError, match="neither Labelme nor QuPath"):
        read_annotation(save(tmp_path / "a.json", content))


def test_a_missing_empty_or_foreign_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_annotation(tmp_path / "none.json")
    (tmp_path / "empty.json").write_bytes(b"")
    with pytest.raises(DataError, match="empty"):
        read_annotation(tmp_path / "empty.json")
    (tmp_path / "zip").write_bytes(b"PK\x03\x04" + bytes(range(256)))
    with pytest.raises(DataError, match="not valid JSON"):
        read_annotation(tmp_path / "zip")
    with pytest.raises(DataError, match="no such file"):
        read_annotation(tmp_path)
