"""What a cutting has finished is found again, as far as it goes on without a gap."""

import numpy as np
import pytest

from hviskd.cutting.parts import Parts, TileFile
from hviskd.errors import DataError
from tests.tiles.samples import noise


def cut(parts, key, seeds):
    """Cut a slide of one tile a seed, unless that is done; tell whether it had been."""
    found = parts.finished(key, len(seeds))
    if found is None:
        for place, seed in enumerate(seeds):
            parts.tiles.put(np.array([place]), noise(seed, 4)[None])
        parts.picture(key).touch()
        parts.finish(key, [str(seed) for seed in seeds], ("a note",))
    return found is not None


def open_parts(folder, *, made_with="some settings", overwrite=False):
    return Parts(folder / "set", tile_px=4, made_with=made_with, overwrite=overwrite)


def run(folder, slides):
    """Cut slides; give what had been cut before, and the tiles of all."""
    with open_parts(folder) as parts, parts.tiles:
        done = [cut(parts, key, seeds) for key, seeds in slides.items()]
    digests = [digest for key in slides for digest in parts.slide(key).digests]
    assert digests == [str(seed) for seeds in slides.values() for seed in seeds]
    return done, np.fromfile(parts.tiles.path, np.uint8)[128:].reshape(-1, 4, 4, 3)


def test_tiles_may_come_in_any_order(tmp_path):
    tiles = np.stack([noise(seed, 4) for seed in range(6)])
    with TileFile(tmp_path / "file", 4) as file:
        for places in ([4, 5, 0], [2], [3, 1]):
            file.put(np.array(places), tiles[places])
        file.keep(6)
    assert np.array_equal(np.fromfile(tmp_path / "file", np.uint8)[128:].reshape(6, 4, 4, 3), tiles)


def test_the_tiles_of_a_slide_that_failed_are_gone(tmp_path):
    with TileFile(tmp_path / "file", 4) as file:
        file.put(np.array([0]), noise(1, 4)[None])
        file.keep(1)
        file.put(np.arange(5), np.stack([noise(2, 4)] * 5))
    assert (tmp_path / "file").stat().st_size == 128 + 48


def test_all_is_found_again(tmp_path):
    slides = {"a": [1, 2], "b": [], "c": [3]}
    assert run(tmp_path, slides)[0] == [False, False, False]
    done, tiles = run(tmp_path, slides)
    assert done == [True, True, True]
    assert np.array_equal(tiles, np.stack([noise(seed, 4) for seed in (1, 2, 3)]))


def test_tiles_cut_apart_are_taken_in_turn_unless_something_is_missing(tmp_path):
    with open_parts(tmp_path) as parts:
        for key, seeds in (("a", [1]), ("b", [2, 3]), ("c", []), ("d", [4])):
            with parts.apart(key) as apart:
                for place, seed in enumerate(seeds):
                    apart.tiles.put(np.array([place]), noise(seed, 4)[None])
                apart.picture(key).touch()
                apart.finish(key, [str(seed) for seed in seeds], ())
        with pytest.raises(KeyError), parts.apart("e"):
            raise KeyError  # whoever cut it failed
        (parts.folder / "apart" / "d" / "pixels.npy").unlink()
        counts = {"a": 1, "b": 2, "c": 0, "d": 1, "e": 1}
        assert [key for key, count in counts.items() if parts.is_cut(key, count)] == list("abcd")
        with parts.tiles:
            assert parts.take("b", 1) is None  # fewer are wanted now
            taken = [parts.take(key, count) for key, count in (("b", 2), ("a", 1), ("c", 0), ("d", 1), ("e", 1))]
    assert taken == [(0, ("2", "3"), ()), (2, ("1",), ()), (3, (), ()), None, None]
    tiles = np.fromfile(parts.tiles.path, np.uint8)[128:].reshape(-1, 4, 4, 3)
    assert np.array_equal(tiles, np.stack([noise(seed, 4) for seed in (2, 3, 1)]))
    assert [path.name for path in (parts.folder / "apart").iterdir()] == ["d"]
    assert parts.picture("b").is_file()


def test_from_the_first_other_slide_on_all_is_cut_anew_and_nothing_stale_is_ever_used(tmp_path):
    first = {"a": [1], "b": [2, 3], "c": [4]}
    other = {"a": [1], "B": [5, 6, 7], "c": [4]}
    for slides, expected in [(first, [False] * 3), (other, [True, False, False]), (first, [True, False, False])]:
        done, tiles = run(tmp_path, slides)
        assert done == expected
        seeds = [seed for some in slides.values() for seed in some]
        assert np.array_equal(tiles, np.stack([noise(seed, 4) for seed in seeds]))


@pytest.mark.parametrize("lost", ["pixels.npy", "b.png", "b.json"])
def test_a_slide_of_which_a_part_is_gone_is_cut_anew(tmp_path, lost):
    slides = {"a": [1], "b": [2], "c": [3]}
    run(tmp_path, slides)
    (tmp_path / ".parts-set" / lost).unlink()
    done, tiles = run(tmp_path, slides)
    assert done == ([False] * 3 if lost == "pixels.npy" else [True, False, False])
    assert np.array_equal(tiles, np.stack([noise(seed, 4) for seed in (1, 2, 3)]))


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"first": "x", "digests": [], "notes": []}', '{"first": 1}'])
def test_a_damaged_mark_is_no_mark(tmp_path, content):
    slides = {"a": [1], "b": [2]}
    run(tmp_path, slides)
    (tmp_path / ".parts-set" / "b.json").write_text(content)
    assert run(tmp_path, slides)[0] == [True, False]


def test_an_error_leaves_what_was_finished_before(tmp_path):
    slides = {"a": [1], "b": [2]}
    run(tmp_path, slides)
    parts = open_parts(tmp_path)
    with pytest.raises(KeyboardInterrupt), parts, parts.tiles:
        raise KeyboardInterrupt
    assert run(tmp_path, slides)[0] == [True, True]


def test_an_unfinished_cutting_is_not_thrown_away_unasked(tmp_path):
    run(tmp_path, {"a": [1]})
    with pytest.raises(DataError, match="`overwrite=True`"), open_parts(tmp_path, made_with="others"):
        pass
    with open_parts(tmp_path, overwrite=True):  # the same settings give the same tiles, so they stay
        pass
    assert run(tmp_path, {"a": [1]})[0] == [True]
    with open_parts(tmp_path, made_with="others", overwrite=True) as parts:
        assert sorted(path.name for path in parts.folder.iterdir()) == [".lock", "made-with"]


def test_parts_of_which_nobody_knows_what_they_were_made_with_are_not_gone_on_with(tmp_path):
    run(tmp_path, {"a": [1]})
    (tmp_path / ".parts-set" / "made-with").unlink()  # as an earlier version left them
    with pytest.raises(DataError, match="`overwrite=True`"):
        run(tmp_path, {"a": [1]})
    (tmp_path / ".parts-set" / "made-with").write_bytes(b"\xff")
    with pytest.raises(DataError, match="`overwrite=True`"):
        run(tmp_path, {"a": [1]})


def test_two_cuttings_never_share_a_folder(tmp_path):
    with (
        open_parts(tmp_path, overwrite=True),
        pytest.raises(DataError, match="another cutting is using this folder"),
        open_parts(tmp_path, overwrite=True),
    ):
        pass
    assert run(tmp_path, {"a": [1]})[0] == [False]
