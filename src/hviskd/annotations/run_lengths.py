"""Decodes the run-length masks of COCO: runs of px outside and inside in turn, column by column."""

import numpy as np

from hviskd.arrays import Bools, Ints

RUN_LIMIT = 10_000_000  # of one mask, and characters of its text; half a gigabyte while they are decoded
_LONGEST_NUMBER = 12  # characters of 5 bits; they hold any int64 that counts px


def runs_of(counts: object) -> Ints:
    """Return the lengths of runs, given as numbers or in COCO's compressed text.

    Raises:
        ValueError: They are neither, or too many.
    """
    if isinstance(counts, str):
        return _uncompressed(counts)
    if not isinstance(counts, list) or not set(map(type, counts)) <= {int}:
        raise ValueError("its counts must be text or a list of whole numbers")
    if len(counts) > RUN_LIMIT:
        raise ValueError(f"over {RUN_LIMIT} runs")
    try:
        return np.array(counts, dtype=np.int64)
    except OverflowError as error:
        raise ValueError("a run that is longer than any image") from error


def decode_runs(runs: Ints, height: int, width: int, *, limit_px: int) -> tuple[Bools, int, int]:
    """Return the part of a mask that has px, and where its first column and row lie in the whole.

    Args:
        runs: (N,) lengths, the first outside; together height × width.
        height: Of the whole mask.
        width: Of the whole mask.
        limit_px: The most px that part may have.

    Returns:
        (h, w) bool; (0, 0) if the mask is empty. Its first column and row.

    Raises:
        ValueError: The runs do not make a mask of that size, or the part is too large.
    """
    if (runs < 0).any() or float(runs.sum(dtype=np.float64)) != height * width or runs.max(initial=0) > height * width:
        raise ValueError(f"its runs do not add up to {height} × {width} px")
    ends = np.cumsum(runs)
    first, last = ends[:-1:2], ends[1::2]
    first, last = first[last > first], last[last > first] - 1
    if not len(first):
        return np.zeros((0, 0), np.bool_), 0, 0
    left, right = int(first[0] // height), int(last[-1] // height)
    one_column = (first // height == last // height).all()
    top = int((first % height).min()) if one_column else 0
    bottom = int((last % height).max()) if one_column else height - 1
    shape = right - left + 1, bottom - top + 1
    if shape[0] * shape[1] > limit_px:
        raise ValueError(f"masks of over {limit_px} px together")
    # Where a run begins the count of what covers a px rises, after its end it falls; one more row has the falls.
    change = np.zeros((shape[0], shape[1] + 1), np.int8)
    if one_column:
        change[first // height - left, first % height - top] += 1
        change[last // height - left, last % height - top + 1] -= 1
        return change.cumsum(axis=1, dtype=np.int8)[:, :-1].astype(np.bool_).T, left, top
    flat = np.zeros(shape[0] * height + 1, np.int8)
    flat[first - left * height] += 1
    flat[last - left * height + 1] -= 1
    return flat.cumsum(dtype=np.int8)[:-1].reshape(shape[0], height).astype(np.bool_).T, left, 0


def _uncompressed(text: str) -> Ints:
    """Decode numbers of 5 bits a character, least first, each but the first three less the one before the last.

    See `rleFrString` in pycocotools' maskApi.c.
    """
    if len(text) > RUN_LIMIT:
        raise ValueError(f"over {RUN_LIMIT} characters")
    if not text.isascii():
        raise ValueError("characters that no mask has")
    codes = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    if len(codes) == 0 or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise ValueError("its counts are no text of a mask")
    ends = np.flatnonzero((codes & 32) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    place = np.arange(len(codes)) - np.repeat(starts, ends - starts + 1)
    if place.max() >= _LONGEST_NUMBER:
        raise ValueError("a number that is longer than any image")
    values = np.add.reduceat((codes & 31) << (5 * place), starts)
    values -= ((codes[ends] & 16) != 0) * (np.int64(1) << (5 * (ends - starts + 1)))
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
