import pytest

from hviskd.annotations import documents
from hviskd.annotations.documents import read_document
from hviskd.errors import DataError

from .make import save


def test_json_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": [1, 2.5]}')
    assert read_document(path) == {"a": [1, 2.5]}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ('{"a": 1, "b": 2, "a": 3}', "'a' stands twice"),
        ("[NaN]", "NaN"),
        ("[-Infinity]", "Infinity"),
        ("[" * 100_000 + "]" * 100_000, "nested"),
        ('{"a":' * 50_000, "nested"),
        ("1" * 5000, "not valid JSON"),
    ],
)
def test_what_is_no_sound_json_is_refused_in_one_line(tmp_path, content, said):
    path = save(tmp_path / "a.json", content)
    with pytest.raises(DataError, match=said) as caught:
        read_document(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_bytes_are_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"\x89\xff\x00" * 100)
    with pytest.raises(DataError, match="not valid JSON"):
        read_document(path)


def test_a_file_over_the_limit_is_refused_unread(tmp_path):
    path = tmp_path / "a.json"
    with path.open("wb") as stream:
        stream.truncate(documents.FILE_LIMIT_BYTES + 1)
    with pytest.raises(DataError, match="512 MiB"):
        read_document(path)


def test_more_numbers_than_memory_holds_are_refused_before_parsing(tmp_path):
    path = save(tmp_path / "a.json", "[" + "[1,2]," * 10_000_001 + "0]")
    with pytest.raises(DataError, match="fit into memory"):
        read_document(path)
