"""A pickle of plain data is read as Python reads it; any other ends in one line, and nothing in it is ever run."""

import pickle
import pickletools
from pathlib import Path

import numpy as np
import pytest

from hviskd.errors import DataError
from hviskd.tiles import plain_pickle
from hviskd.tiles.plain_pickle import read_plain_pickle
from tests.tiles.cifar_samples import python_2_pickle

CONTENT = {
    "data": np.arange(600, dtype=np.uint16).astype(np.uint8).reshape(3, 200),
    "labels": [0, 255, 256, 65535, 70000, -3],
    "names": ["caf\xe9", "", "x" * 200],
    "nothing": None,
    "empty": [],
    "pair": (True, False),
}


def same(ours: object, theirs: object) -> bool:
    return np.array_equal(ours, theirs) if isinstance(theirs, np.ndarray) else ours == theirs


@pytest.mark.filterwarnings("ignore:numpy.core")
def test_python_2_s_pickles_read_as_python_s_own_unpickler_reads_them():
    written = python_2_pickle(CONTENT)
    theirs = pickle.loads(written, encoding="latin1")
    ours = read_plain_pickle(written, "sample")
    assert list(ours) == list(theirs) == list(CONTENT)
    assert all(same(ours[key], theirs[key]) and same(ours[key], CONTENT[key]) for key in CONTENT)
    assert ours["data"].dtype == np.uint8


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_python_3_s_old_protocols_read_too(protocol):
    plain = {
        "a": [1, -5, 2**40, 2**70, 1.5, "ä"],
        "b": {"c": (1, 2), "d": ()},
        "e": [(), (1,), (1, 2, 3, 4), None, True],
    }
    plain["again"] = plain["a"]
    assert read_plain_pickle(pickle.dumps(plain, protocol), "sample") == plain


def test_an_array_by_columns_keeps_its_rows():
    written = python_2_pickle({"data": CONTENT["data"]}).replace(b"\x89T", b"\x88T")
    expected = CONTENT["data"].ravel().reshape(3, 200, order="F")
    np.testing.assert_array_equal(read_plain_pickle(written, "sample")["data"], expected)


class Spy:
    """What its pickle would do is leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_called(tmp_path: Path, protocol):
    with pytest.raises(DataError, match="sample: not a pickle of plain data") as caught:
        read_plain_pickle(pickle.dumps({"data": Spy(tmp_path / "run")}, protocol), "sample")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
    with pytest.raises(DataError):
        read_plain_pickle(b"cos\nsystem\n(S'touch " + str(tmp_path / "run").encode() + b"'\ntR.", "sample")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "exhausted"),
        (b".", "underflow"),
        (b"\x80\x02].", "contains no dictionary"),
        (b"cos\nsystem\n.", "it would use os system"),
        (b"\x80\x02\x8c\x02os\x8c\x06system\x93.", "SHORT_BINUNICODE"),
        (b"cnumpy\ndtype\n(S'O8'\ntR}b.", "no dictionary"),
        (b"}U\x01acnumpy\nndarray\n(K\x01tRs.", "array without content"),
        (b"}}K\x01K\x02sb.", "__dict__"),
        (b"}K\x01K\x02s.", "no dictionary with text keys"),
        (b"}K\x01a.", "append"),
        (b"}(U\x01au.", "odd number of items"),
        (b"Pperson\n.", "PERSID"),
        (b"h\x07.", "7"),
        (b"T\xff\xff\xff\x7fab.", "expected 2147483647 bytes"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.", "expected 9223372036854775807 bytes"),
        (b"(" * 10 + b"u.", "MARK"),
        (b"L" + b"9" * 10_000 + b"L\n.", "digits"),
    ],
)
def test_what_is_no_plain_data_is_one_line(content, said):
    with pytest.raises(DataError, match=said):
        read_plain_pickle(content, "sample")


def test_an_array_of_something_else_than_bytes_is_refused():
    for array in (np.zeros((2, 3), np.int16), np.zeros((2, 3), np.float64)):
        with pytest.raises(DataError, match="an array that is not of bytes"):
            read_plain_pickle(python_2_pickle({"data": array}), "sample")
    short = python_2_pickle({"data": CONTENT["data"]}).replace(b"K\x03K\xc8t", b"K\x04K\xc8t")
    with pytest.raises(DataError, match="cannot reshape"):
        read_plain_pickle(short, "sample")


@pytest.mark.parametrize(
    "between", [b"", b"\x80\x02", b"Nb", b"(e", b"(u"], ids=["", "proto", "build", "append", "set"]
)
def test_endless_work_is_not_begun(between):
    doubling = b"".join(b"h\x01h\x01\x86" + between + b"q\x01" for _ in range(60))  # a tuple of 2⁶⁰ parts, to be hashed
    with pytest.raises(DataError, match="a tuple twice"):
        read_plain_pickle(b"}K\x01q\x01" + doubling + b"K\x00s.", "sample")


def test_room_is_not_made_for_whatever_a_file_claims(monkeypatch):
    """Python's unpickler would make it for four billion memories."""
    for put in (b"r\xff\xff\xff\xff", b"p4294967295\n"):
        with pytest.raises(DataError, match="remember 4294967295 things"):
            read_plain_pickle(b"}" + put + b".", "sample")
    assert read_plain_pickle(b"}r\xff\xff\x00\x00.", "sample") == {}
    monkeypatch.setattr(plain_pickle, "_MOST_STEPS", 1000)
    with pytest.raises(DataError, match="over 1000 steps"):
        read_plain_pickle(b"}" + b"]" * 1000 + b".", "sample")


@pytest.mark.slow
def test_no_damage_ends_in_anything_but_one_line():
    whole = python_2_pickle(CONTENT)
    operations = bytes(ord(opcode.code) for opcode in pickletools.opcodes)
    rng = np.random.default_rng(0)
    for cut in range(len(whole)):
        with pytest.raises(DataError):
            read_plain_pickle(whole[:cut], "sample")
    outcomes, messages = set(), ""
    for _ in range(3000):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 5)):
            damaged[place] = rng.choice(list(operations)) if rng.random() < 0.7 else rng.integers(256)
        try:
            outcomes.add(type(read_plain_pickle(bytes(damaged), "sample")))
        except DataError as error:
            outcomes.add(DataError)
            messages += str(error)
    assert outcomes == {dict, DataError}
    assert "\n" not in messages
