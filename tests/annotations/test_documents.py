import json
import math
import subprocess
import sys

import pytest

from hviskd.annotations import documents
from hviskd.annotations.documents import read_document
from hviskd.errors import DataError
from tests.memory import PEAK_KIB, knows_its_peak

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
        ('{"label": 1, "b": 2, "label": 3}', "'label' appears twice"),
        ("[" * 100_000 + "]" * 100_000, "nested"),
        ('{"a":' * 50_000, "nested"),
    ],
)
def test_what_is_no_sound_json_is_refused_in_one_line(tmp_path, content, said):
    path = save(tmp_path / "a.json", content)
    with pytest.raises(DataError, match=said) as caught:
        read_document(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_nobody_reads_may_be_wrong(tmp_path):
    text = '{"Solidity": NaN, "Area": Infinity, "Perimeter": -Infinity, "Area": 5, "long": ' + "1" * 5000 + "}"
    content = read_document(save(tmp_path / "a.json", text))
    assert math.isnan(content["Solidity"])
    assert content["long"] == math.inf
    assert content["Area"] == 5


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
    with pytest.raises(DataError, match="too many objects and numbers for memory"):
        read_document(path)


def test_more_words_than_memory_holds_are_refused_before_parsing(tmp_path):
    path = save(tmp_path / "a.json", "[" + '"ab",' * 15_000_000 + "0]")
    with pytest.raises(DataError, match="too many objects and numbers for memory"):
        read_document(path)


def test_keys_may_come_again_and_again_but_not_be_different_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "KEY_LIMIT", 100)
    cells = [{f"measurement {number}": number for number in range(100)}] * 1000
    assert read_document(save(tmp_path / "a.json", json.dumps(cells))) == cells
    cells = [*cells, {"another": 1}]
    with pytest.raises(DataError, match="more than 100 different keys, so not an annotation"):
        read_document(save(tmp_path / "a.json", json.dumps(cells)))


@pytest.mark.parametrize(
    ("first", "limit"),
    [("a", None), ("é\\u00e9", None), ("胶", 256), ("\\u80f6", 256), ("😀", 128), ("\\ud83d\\ude00", 128)],
)
def test_wide_characters_make_a_large_file_too_large(tmp_path, monkeypatch, first, limit):
    """A thousandth of the real size: the text may have as many bytes as the limit, whatever its characters take."""
    monkeypatch.setattr(documents, "TEXT_LIMIT_BYTES", 512 * 2**10)
    path = tmp_path / "a.json"
    path.write_text(f'["{first}{"a" * (510 * 2**10)}"]', encoding="utf-8")
    if limit is None:
        assert read_document(path)
        return
    with pytest.raises(DataError, match=r"characters of \d bytes of memory each"):
        read_document(path)
    path.write_text(f'["{first}{"a" * ((limit - 1) * 2**10)}"]', encoding="utf-8")
    assert read_document(path)


@pytest.mark.slow
@knows_its_peak
def test_a_large_file_of_wide_characters_takes_less_than_two_gigabytes(tmp_path):
    path = tmp_path / "a.json"
    with path.open("w", encoding="utf-8") as stream:
        stream.write('["😀')
        for _ in range(500):
            stream.write("a" * 2**20)
        stream.write('"]')
    script = (
        f"{PEAK_KIB}\nimport sys\nfrom pathlib import Path\nfrom hviskd.annotations.documents import read_document\n"
        "try:\n    read_document(Path(sys.argv[1]))\nexcept Exception as error:\n    print(type(error).__name__)\n"
        "print(peak_kib())"
    )
    told = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True).stdout
    path.unlink()
    name, peak_kib = told.split()
    assert name == "DataError"
    assert int(peak_kib) < 2 * 2**20
