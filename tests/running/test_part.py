"""Shares of the work: whole, even, and the same whoever asks in whichever order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hviskd.errors import DataError
from hviskd.running import Part
from hviskd.running.part import parts_of

SIZES = st.dictionaries(st.text(max_size=4), st.integers(0, 10_000), max_size=40)


class Noting:
    """A job whose pieces are names with sizes, and that notes what it was given."""

    def __init__(self, sizes):
        self.sizes = sizes

    def run(self, items, told, progress):
        for item in items:
            told(f"{item} done")

    def size(self, item):
        return self.sizes[item]

    def name(self, item):
        return item


@pytest.mark.slow
@given(SIZES, st.integers(1, 12), st.randoms())
def test_each_piece_is_in_one_part_whatever_the_order(sizes, of, random):
    names = list(sizes)
    random.shuffle(names)
    given_to = [Part(number, of).run(Noting(sizes), names) for number in range(1, of + 1)]
    assert sorted(name for share in given_to for name in share) == sorted(f"{name} done" for name in names)
    assert parts_of({name: sizes[name] for name in names}, of) == parts_of(sizes, of)


@given(SIZES.filter(bool), st.integers(1, 12))
def test_no_part_is_larger_than_an_even_one_by_more_than_a_piece(sizes, of):
    parts = parts_of(sizes, of)
    loads = [sum(size for name, size in sizes.items() if parts[name] == part) for part in range(1, of + 1)]
    assert max(loads) <= sum(sizes.values()) / of + max(sizes.values())


def test_the_largest_are_spread_first_and_small_ones_fill_up():
    assert parts_of({"e": 1, "d": 2, "c": 3, "b": 7, "a": 8}, 2) == {"a": 1, "b": 2, "c": 2, "d": 1, "e": 1}
    assert parts_of(dict.fromkeys("abcdef", 0), 3) == {"a": 1, "b": 2, "c": 3, "d": 1, "e": 2, "f": 3}


def test_a_piece_is_told_as_soon_as_it_is_done():
    told = []
    assert Part.parse("2/2", told.append).run(Noting({"a": 2, "b": 1}), ["b", "a"]) == ["b done"]
    assert told == ["b done"]


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0", "-1/3", "1/2/3", "", "1.5/2", "٣/٣"])
def test_a_part_that_cannot_be_is_refused(text):
    with pytest.raises(DataError, match=r"`part='.*'`: must be K/N with K from 1 to N, such as 3/20"):
        Part.parse(text)
