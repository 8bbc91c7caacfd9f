"""Reads the JSON that other programs write, at any size and in any state; Labelme and QuPath readers use it."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np

from hviskd.errors import DataError

FILE_LIMIT_BYTES = 512 * 2**20
# What the file's text, and a string that may be all of it, take of memory; characters beyond Latin-1 make every
# character of both two bytes wide, those beyond U+FFFF four.
TEXT_LIMIT_BYTES = 512 * 2**20
# A parsed document takes at most about 64 bytes for each of these marks, so the limit keeps it and its text under
# 2 GiB; it is some nine million vertices.
MARK_LIMIT = 28_000_000
_MARKS = {b"[": 1, b",": 1, b'"': 0.5, b"{": 4}
KEY_LIMIT = 1_000_000  # different ones, at about 300 bytes each; of one that comes again only a reference is kept


def read_document(path: Path) -> object:
    """Read a JSON file that may be damaged or hostile.

    Raises:
        DataError: The file is missing, over 512 MiB, not UTF-8, not JSON, too deeply nested, says one key twice in
            one object, has NaN, infinity or a number of thousands of digits, or would take over about 2 GiB.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.stat().st_size > FILE_LIMIT_BYTES:
        raise DataError(f"{path}: larger than {FILE_LIMIT_BYTES // 2**20} MiB; export fewer objects at a time")
    try:
        return json.loads(_text(path), object_pairs_hook=_Objects(), parse_constant=_refuse)
    except RecursionError as error:
        raise DataError(f"{path}: nested too deeply; this is not an annotation") from error
    except ValueError as error:
        # Python's own words on a number of thousands of digits would send a user to its settings.
        reason = "a number of thousands of digits" if "sys.set_int_max_str_digits" in str(error) else error
        raise DataError(f"{path}: not valid JSON ({reason}); export it again") from error


def _text(path: Path) -> str:
    """Give the file's text; a function of its own, so that the bytes are gone before the text is parsed."""
    content = path.read_bytes()
    if sum(weight * content.count(mark) for mark, weight in _MARKS.items()) > MARK_LIMIT:
        raise DataError(f"{path}: more objects and numbers than fit into memory; export fewer objects at a time")
    width = _character_bytes(content)
    if len(content) * width > TEXT_LIMIT_BYTES:
        limit = TEXT_LIMIT_BYTES // width // 2**20
        raise DataError(
            f"{path}: larger than {limit} MiB, the most with characters that take {width} bytes of memory each (such "
            f"as {'emoji' if width == 4 else 'Chinese'}); export fewer objects at a time, or without the image"
        )
    return content.decode("utf-8-sig")


def _character_bytes(content: bytes) -> int:
    """Give how many bytes each character of JSON in UTF-8 may take in memory, escapes unfolded: 1, 2 or 4."""
    highest = np.frombuffer(content, dtype=np.uint8).max(initial=0)
    if highest >= 0xF0 or re.search(rb"\\u[dD][89a-fA-F]", content):
        return 4
    return 2 if highest >= 0xC4 or re.search(rb"\\u(?!00)", content) else 1


class _Objects:
    """Makes the objects of one document, and refuses keys that come twice in one and too many different ones in all."""

    def __init__(self) -> None:
        self._keys: set[str] = set()

    def __call__(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        content = dict(pairs)
        if len(content) < len(pairs):
            (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
            raise ValueError(f"key {twice[:40]!r} stands twice in one object")
        self._keys.update(content)
        if len(self._keys) > KEY_LIMIT:
            raise ValueError(f"over {KEY_LIMIT} different keys; this is not an annotation")
        return content


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")
