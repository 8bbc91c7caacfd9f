"""Reads the JSON that other programs write, at any size and in any state; Labelme and QuPath readers use it."""

import json
from collections import Counter
from pathlib import Path

from hviskd.errors import DataError

FILE_LIMIT_BYTES = 512 * 2**20
# A parsed document takes at most about 64 bytes for each of these marks, so the limit keeps it under 2 GiB; it is
# some ten million vertices.
MARK_LIMIT = 30_000_000
_MARKS = {b"[": 1, b",": 1, b":": 1, b"{": 4}


def read_document(path: Path) -> object:
    """Read a JSON file that may be damaged or hostile.

    Raises:
        DataError: The file is missing, over 512 MiB, not UTF-8, not JSON, too deeply nested, says one key twice in
            one object, has NaN or infinity, or would take over about 2 GiB once parsed.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    if path.stat().st_size > FILE_LIMIT_BYTES:
        raise DataError(f"{path}: larger than {FILE_LIMIT_BYTES // 2**20} MiB; export fewer objects at a time")
    try:
        return json.loads(_text(path), object_pairs_hook=_unique, parse_constant=_refuse)
    except RecursionError as error:
        raise DataError(f"{path}: nested too deeply; this is not an annotation") from error
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON ({error}); export it again") from error


def _text(path: Path) -> str:
    """Give the file's text; a function of its own, so that the bytes are gone before the text is parsed."""
    content = path.read_bytes()
    if sum(weight * content.count(mark) for mark, weight in _MARKS.items()) > MARK_LIMIT:
        raise DataError(f"{path}: more objects and numbers than fit into memory; export fewer objects at a time")
    return content.decode("utf-8-sig")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) < len(pairs):
        (twice, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"key {twice[:40]!r} stands twice in one object")
    return content


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")
