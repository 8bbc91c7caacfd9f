import io
import json
import random
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings

from hviskd.errors import DataError
from hviskd.segmentation import SlideMap
from hviskd.segmentation.tables import read_map_arrays, read_npz, write_npz, write_parquet

from .make import CLASSES
from .maps import maps, no_tiles, random_map


@given(maps())
@settings(max_examples=30)
def test_a_map_is_read_back_bit_for_bit(tmp_path_factory, some):
    path = tmp_path_factory.mktemp("map") / "map.npz"
    back = read_npz(write_npz(some, path))
    assert back.card == some.card
    np.testing.assert_array_equal(back.row, some.row)
    np.testing.assert_array_equal(back.column, some.column)
    np.testing.assert_array_equal(back.probabilities, some.probabilities)


def test_the_same_map_gives_the_same_bytes(tmp_path):
    some = random_map(5, 6)
    first, second = write_npz(some, tmp_path / "a.npz"), write_npz(some, tmp_path / "b.npz")
    assert first.read_bytes() == second.read_bytes()


def test_numpy_alone_reads_the_arrays(tmp_path):
    some = random_map(5, 6)
    with np.load(write_npz(some, tmp_path / "map.npz"), allow_pickle=False) as arrays:
        assert json.loads(arrays["card"].tobytes())["classes"] == list(CLASSES)
        np.testing.assert_array_equal(arrays["probabilities"], some.probabilities)


def test_the_table_has_a_row_a_tile(tmp_path):
    some = random_map(7, 5, stride_px=16)
    path = write_parquet(some, tmp_path / "tiles.parquet")
    table = pd.read_parquet(path)
    shares = table[[f"prob_{name}" for name in CLASSES]].to_numpy()
    np.testing.assert_array_equal(shares, some.probabilities)
    assert [CLASSES[place] for place in shares.argmax(axis=1)] == table["class"].tolist()
    np.testing.assert_array_equal(table["x_px"], table["column"] * 32)  # a step of 16 px at 0.5, the slide at 0.25
    np.testing.assert_array_equal(table["y_px"], table["row"] * 32)
    expected = -(shares.astype(float) * np.log2(shares.clip(1e-30))).sum(axis=1)
    np.testing.assert_allclose(table["entropy_bits"], expected, atol=1e-5)
    assert json.loads(pq.read_schema(path).metadata[b"hviskd.map"])["slide"] == some.card.slide


@given(maps())
@settings(max_examples=30)
def test_the_table_is_what_pandas_would_write(tmp_path_factory, some):
    table = pq.read_table(write_parquet(some, tmp_path_factory.mktemp("map") / "tiles.parquet"))
    expected = pa.Table.from_pandas(some.to_dataframe(), preserve_index=False)
    assert table.replace_schema_metadata(None).equals(expected.replace_schema_metadata(None))


def test_a_map_without_tiles_has_an_empty_table(tmp_path):
    some = SlideMap(random_map(2, 2).card, *no_tiles())
    table = pd.read_parquet(write_parquet(some, tmp_path / "tiles.parquet"))
    assert len(table) == 0
    assert f"prob_{CLASSES[0]}" in table
    assert len(read_npz(write_npz(some, tmp_path / "map.npz"))) == 0


def rewritten(path, name, content, *, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path) as archive:
        members = {entry: archive.read(entry) for entry in archive.namelist()}
    members[f"{name}.npy"] = content
    with zipfile.ZipFile(path, "w", compression) as archive:
        for entry, inside in members.items():
            if inside is not None:
                archive.writestr(entry, inside)
    return path


def as_npy(array, **options):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **options)
    return stream.getvalue()


def header(text):
    padded = text.encode() + b" " * (118 - len(text) - 1) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded


COUNT = 20
HOSTILE = {
    "a first pass that the card does not know": ("looked_closely", as_npy(np.zeros(COUNT, bool))),
    "a first pass of other tiles": ("looked_closely", as_npy(np.zeros(COUNT + 1, bool))),
    "a first pass in numbers": ("looked_closely", as_npy(np.zeros(COUNT, np.int32))),
    "pickled objects": ("row", as_npy(np.array([{}] * COUNT, dtype=object), allow_pickle=True)),
    "another number type": ("row", as_npy(np.zeros(COUNT))),
    "another length": ("row", as_npy(np.zeros(COUNT + 1, np.int32))),
    "another dimension": ("probabilities", as_npy(np.zeros(COUNT, np.float32))),
    "a row outside the slide": ("row", as_npy(np.full(COUNT, 900, np.int32))),
    "probabilities beyond one": ("probabilities", as_npy(np.full((COUNT, 3), 9, np.float32))),
    "no number": ("probabilities", as_npy(np.full((COUNT, 3), np.nan, np.float32))),
    "a terabyte claimed": ("row", header("{'descr': '<i4', 'fortran_order': False, 'shape': (999999999999,), }")),
    "negative sides": (
        "probabilities",
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -3), }") + bytes(12),
    ),
    "code for a header": ("row", header("__import__('os').system('true')")),
    "an unfinished header": ("row", header("{'descr': '<i4', 'shape': (((((((((")),
    "a card of no map": ("card", as_npy(np.frombuffer(b'{"slide": 1}', np.uint8))),
    "a card of no text": ("card", as_npy(np.array([255, 254], np.uint8))),
    "a missing array": ("column", None),
    "no array": ("column", b""),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_map_is_refused_in_one_line(tmp_path, content):
    path = write_npz(random_map(4, 5, density=1.0), tmp_path / "map.npz")
    assert len(read_npz(path)) == COUNT
    with pytest.raises(DataError) as caught:
        read_npz(rewritten(path, *content))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_array_packed_in_an_odd_way_is_refused(tmp_path):
    path = write_npz(random_map(4, 5), tmp_path / "map.npz")
    rewritten(path, "extra", b"", compression=zipfile.ZIP_LZMA)
    with pytest.raises(DataError, match="with compression"):
        read_map_arrays(path)


def test_a_small_file_that_unpacks_to_gigabytes_is_refused_unread(tmp_path):
    path = write_npz(random_map(4, 5), tmp_path / "map.npz")
    rewritten(path, "row", as_npy(np.zeros(1_000_000, np.int32)))
    assert path.stat().st_size < 20_000
    with pytest.raises(DataError, match="claims 4000128 bytes"):
        read_map_arrays(path, most_bytes=1_000_000)


def test_damage_anywhere_is_an_error_or_harmless(tmp_path):
    some = random_map(4, 5)
    path = write_npz(some, tmp_path / "map.npz")
    whole, damage = path.read_bytes(), random.Random(0)
    refused = 0
    for _ in range(600):
        content = bytearray(whole)
        for _ in range(damage.randint(1, 4)):
            content[damage.randrange(len(content))] = damage.randrange(256)
        path.write_bytes(content[: damage.randrange(len(content))] if damage.random() < 0.2 else content)
        try:
            back = read_npz(path)
        except DataError:
            refused += 1
        else:  # the changed byte was one that nobody reads, such as a date
            np.testing.assert_array_equal(back.probabilities, some.probabilities)
            assert back.card == some.card
    assert refused > 400


def test_a_file_that_is_missing_or_no_archive_is_named(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_npz(tmp_path / "map.npz")
    (tmp_path / "map.npz").write_bytes(b"\x80\x04N.")
    with pytest.raises(DataError, match=r"map\.npz: not a readable map"):
        read_npz(tmp_path / "map.npz")
