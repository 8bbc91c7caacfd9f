"""Reads JSON files of other programs, of any size and possibly damaged."""

import json
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np

from hviskd.errors import DataError
from hviskd.storage import require_smaller

FILE_LIMIT_BYTES = 512 * 2**20
# What the file's text, and a string that may be all of it, take of memory; characters beyond Latin-1 make every
# character of both two bytes wide, those beyond U+FFFF four.
TEXT_LIMIT_BYTES = 512 * 2**20
# A parsed document takes at most about 64 bytes for each of these marks, so the limit keeps it and its text under
# 2 GiB; it is some nine million vertices.
MARK_LIMIT = 28_000_000
_MARKS = {b"[": 1, b",": 1, b'"': 0.5, b"{": 4}
LONGEST_NUMBER = 300  # digits; a float holds 308
READ_KEYS = frozenset(
    (
        *("type", "features", "geometry", "geometries", "coordinates", "properties", "classification", "name", "names"),
        *("color", "colorRGB", "shapes", "label", "points", "shape_type", "group_id", "description", "mask"),
        *("imageWidth", "imageHeight", "images", "annotations", "categories", "file_name", "image_id", "category_id"),
        *("segmentation", "counts", "bbox"),
    )
)
KEY_LIMIT = 1_000_000  # different ones, at about 300 bytes each; of one that comes again only a reference is kept


def read_document(path: Path) -> object:
    """Read a JSON file that may be damaged or malicious.

    NaN and Infinity, which some programs write, are accepted here, and numbers with thousands of digits become
    infinity; the readers reject them where they matter.

    Raises:
        DataError: The file is missing, over 512 MiB, not UTF-8, not JSON, too deeply nested, says a key that readers
            look at twice in one object, or would take over about 2 GiB.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    require_smaller(path, FILE_LIMIT_BYTES, "; export fewer objects at a time")
    try:
        return json.loads(_text(path), object_pairs_hook=_Objects(), parse_int=_whole)
    except RecursionError as error:
        raise DataError(f"{path}: nested too deeply, so not an annotation") from error
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error}); export it again") from error


def _text(path: Path) -> str:
    """Return the file's text, in a function of its own so that the bytes are freed before parsing."""
    content = path.read_bytes()
    if sum(weight * content.count(mark) for mark, weight in _MARKS.items()) > MARK_LIMIT:
        raise DataError(f"{path}: too many objects and numbers for memory; export fewer objects at a time")
    width = _character_bytes(content)
    if len(content) * width > TEXT_LIMIT_BYTES:
        limit = TEXT_LIMIT_BYTES // width // 2**20
        raise DataError(
            f"{path}: larger than {limit} MiB, the limit with characters of {width} bytes of memory each (for "
            f"example {'emoji' if width == 4 else 'Chinese'}); export fewer objects at a time, or without the image"
        )
    return content.decode("utf-8-sig")


def _character_bytes(content: bytes) -> int:
    """Return how many bytes of memory each character of UTF-8 JSON may take, with escapes resolved: 1, 2 or 4."""
    highest = np.frombuffer(content, dtype=np.uint8).max(initial=0)
    if highest >= 0xF0 or re.search(rb"\\u[dD][89a-fA-F]", content):
        return 4
    return 2 if highest >= 0xC4 or re.search(rb"\\u(?!00)", content) else 1


class _Objects:
    """Builds the objects of one document; rejects repeated keys in an object and too many different keys in all."""

    def __init__(self) -> None:
        self._keys: set[str] = set()

    def __call__(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        content = dict(pairs)
        if len(content) < len(pairs):
            twice = [key for key, times in Counter(key for key, _ in pairs).items() if times > 1 and key in READ_KEYS]
            if twice:
                raise ValueError(f"key {twice[0]!r} appears twice in one object")
        self._keys.update(content)
        if len(self._keys) > KEY_LIMIT:
            raise ValueError(f"more than {KEY_LIMIT} different keys, so not an annotation")
        return content


def _whole(digits: str) -> int | float:
    """Read an integer; one with hundreds of digits is beyond all numbers."""
    return int(digits) if len(digits) < LONGEST_NUMBER else math.inf
