"""Writing a TileSet is all or nothing, takes what fits, and does not hold the pixels in memory."""

import tracemalloc

import numpy as np
import pytest

from hviskd.errors import DataError
from hviskd.tiles import Origin, TileSet, TileSetWriter, new_card
from hviskd.tiles.tileset import digest_of
from hviskd.tiles.writing import TileRow, write_header
from tests.tiles.samples import make_tileset, noise


def writer_at(folder, **changes):
    overwrite = changes.pop("overwrite", False)
    given = {"classes": ("A", "B"), "tile_px": 4, "origin": Origin(verb="sample"), **changes}
    return TileSetWriter(folder, new_card(**given), overwrite=overwrite)


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 5, 3), np.uint8),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.int8),
    ],
)
def test_a_tile_of_another_shape_or_kind_is_refused(tmp_path, pixels):
    with pytest.raises(DataError, match=r"a\.png"), writer_at(tmp_path / "set") as writer:
        writer.add(pixels, file="a.png", class_name="A")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"class_name": "C"}, {"class_name": "A", "split": "dev"}])
def test_an_unknown_class_or_split_is_refused(tmp_path, wrong):
    with pytest.raises(DataError, match="is not one of"), writer_at(tmp_path / "set") as writer:
        writer.add(noise(0, 4), file="a.png", **wrong)


def test_an_error_while_writing_leaves_nothing(tmp_path):
    with pytest.raises(KeyError), writer_at(tmp_path / "set") as writer:
        writer.add(noise(0, 4), file="a.png", class_name="A")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_no_tile_at_all_is_refused_with_the_reasons(tmp_path):
    with pytest.raises(DataError, match="2 damaged"), writer_at(tmp_path / "set") as writer:
        writer.drop("damaged", "a.png")
        writer.drop("damaged", "b.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [{"classes": ("A", "A")}, {"classes": ()}, {"tile_px": 0}, {"mpp": float("nan")}, {"colours": [(0, 0, 0)]}],
)
def test_an_impossible_card_is_refused_before_anything_is_written(tmp_path, wrong):
    with pytest.raises(DataError, match="card"):
        writer_at(tmp_path / "set", **wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_tile_set_is_replaced_only_if_asked(tmp_path):
    make_tileset(tmp_path / "set", [{}, {}])
    with pytest.raises(DataError, match="`overwrite=True`"), writer_at(tmp_path / "set"):
        pass
    with writer_at(tmp_path / "set", overwrite=True) as writer:
        writer.add(noise(0, 4), file="a.png", class_name="A")
    assert len(TileSet.open(tmp_path / "set")) == 1


def test_a_failed_replacement_keeps_the_old_one(tmp_path):
    make_tileset(tmp_path / "set", [{}, {}])
    with pytest.raises(DataError, match="no tiles to write"), writer_at(tmp_path / "set", overwrite=True):
        pass
    assert len(TileSet.open(tmp_path / "set")) == 2


def test_a_folder_of_something_else_is_never_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("years of work")
    with pytest.raises(DataError, match="contains no TileSet"), writer_at(tmp_path / "thesis", overwrite=True):
        pass
    assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "years of work"


def test_memory_does_not_grow_with_the_pixels(tmp_path):
    tile = noise(0, 100)
    tracemalloc.start()
    with writer_at(tmp_path / "set", tile_px=100) as writer:
        for number in range(1500):
            writer.add(tile, file=f"{number}.png", class_name="A")
        peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "set" / "pixels.npy").stat().st_size > 45e6
    assert peak < 5e6


def test_the_header_keeps_its_length_however_many_tiles_come(tmp_path):
    for count in (1, 1234):
        with writer_at(tmp_path / str(count)) as writer:
            for number in range(count):
                writer.add(noise(0, 4), file=f"{number}.png", class_name="B")
        assert np.load(tmp_path / str(count) / "pixels.npy", allow_pickle=False).shape == (count, 4, 4, 3)


def test_a_view_that_is_not_contiguous_is_written_as_it_looks(tmp_path):
    turned = noise(5, 4).transpose(1, 0, 2)
    with writer_at(tmp_path / "set") as writer:
        writer.add(turned, file="a.png", class_name="A")
    assert (TileSet.open(tmp_path / "set").pixels[0] == turned).all()


def pixel_file(path, tiles):
    with path.open("wb") as stream:
        write_header(stream, 0, 4)
        stream.write(np.stack(tiles).tobytes())
    return path


def row_of(tile, **changes):
    given = {"file": "a.png", "class_name": "A", "digest": digest_of(tile)}
    return TileRow(**{**dict.fromkeys(TileRow._fields), **given, **changes})


def test_a_file_of_tiles_that_is_taken_gives_the_set_that_adding_them_gives(tmp_path):
    tiles = [noise(seed, 4) for seed in range(3)]
    with writer_at(tmp_path / "added") as writer:
        for tile in tiles:
            writer.add(tile, file="a.png", class_name="A")
    path = pixel_file(tmp_path / "file", tiles)
    with writer_at(tmp_path / "taken") as writer:
        writer.take(path, map(row_of, tiles))
    added, taken = TileSet.open(tmp_path / "added"), TileSet.open(tmp_path / "taken")
    if path.exists():
        path.unlink()  # the set has the file by a name of its own
    taken.check_pixels()
    assert (added.fingerprint, added.card) == (taken.fingerprint, taken.card)
    assert added.table.equals(taken.table)


@pytest.mark.parametrize("changes", [{"class_name": "C"}, {"split": "dev"}])
def test_a_file_of_tiles_with_an_unknown_class_or_split_is_refused_and_stays(tmp_path, changes):
    path = pixel_file(tmp_path / "file", [noise(0, 4)])
    with pytest.raises(DataError, match="is not one of"), writer_at(tmp_path / "set") as writer:
        writer.take(path, [row_of(noise(0, 4), **changes)])
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("rows", [1, 3])
def test_a_file_of_more_or_fewer_tiles_than_rows_is_refused_and_stays(tmp_path, rows):
    path = pixel_file(tmp_path / "file", [noise(0, 4), noise(1, 4)])
    with pytest.raises(DataError, match=f"but {rows} tiles need"), writer_at(tmp_path / "set") as writer:
        writer.take(path, [row_of(noise(0, 4))] * rows)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_of_tiles_is_taken_before_any_other_tile(tmp_path):
    path = pixel_file(tmp_path / "file", [noise(0, 4)])
    with pytest.raises(ValueError, match="cannot use a finished pixel file"), writer_at(tmp_path / "set") as writer:
        writer.add(noise(0, 4), file="a.png", class_name="A")
        writer.take(path, [row_of(noise(0, 4))])
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_left_out_is_counted_in_full_and_named_up_to_a_hundred(tmp_path):
    with writer_at(tmp_path / "set") as writer:
        writer.add(noise(0, 4), file="a.png", class_name="A")
        for number in range(250):
            writer.drop("damaged", f"{number}.png", "cut short")
        writer.drop("no picture", times=7)
        writer.drop("never", times=0)
    origin = TileSet.open(tmp_path / "set").card.origin
    assert origin.dropped == {"damaged": 250, "no picture": 7}
    assert len(origin.dropped_files) == 100
    assert origin.dropped_files[0] == "0.png: damaged (cut short)"


def test_identical_pixels_have_one_digest(tmp_path):
    tileset = make_tileset(
        tmp_path / "set", [{"pixels": noise(1, 4)}, {"pixels": noise(2, 4)}, {"pixels": noise(1, 4)}]
    )
    first, second, third = tileset.table["digest"]
    assert first == third != second
