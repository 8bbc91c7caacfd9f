import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from hviskd.annotations import png
from hviskd.annotations.colours import TRANSPARENT
from hviskd.annotations.png import png_codes, png_size, write_palette_png


def picture(mode, *, seed=0, size=(37, 53)) -> Image.Image:
    """Give a smooth picture with some noise, so that Pillow uses every row filter."""
    rng = np.random.default_rng(seed)
    width, height = size
    ramp = np.add.outer(np.arange(height) * 3, np.arange(width) * 2)[..., None] + (0, 60, 120, 200)
    pixels = (ramp + rng.integers(0, 9, (height, width, 4))).astype(np.uint8)
    if mode == "P":
        return Image.fromarray(pixels[..., :3]).quantize(200)
    return Image.fromarray(pixels).convert(mode)


def as_stream(image, **options) -> io.BytesIO:
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)
    stream.seek(0)
    return stream


def decoded(stream) -> np.ndarray:
    return np.concatenate([codes for _, codes in png_codes(stream)])


def by_pillow(stream) -> np.ndarray:
    red, green, blue, alpha = np.moveaxis(np.asarray(Image.open(stream).convert("RGBA")).astype(np.int64), -1, 0)
    return np.where(alpha < 128, TRANSPARENT, (red << 16) + (green << 8) + blue)


@pytest.mark.parametrize("band_bytes", [1, 500, 2**24])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_kind_is_decoded_as_pillow_does_in_bands_of_any_height(monkeypatch, mode, band_bytes):
    monkeypatch.setattr(png, "BAND_BYTES", band_bytes)
    stream = as_stream(picture(mode))
    np.testing.assert_array_equal(decoded(stream), by_pillow(stream))


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("width", [1, 7, 8, 33])
def test_narrow_palettes_are_unpacked(bits, width):
    indices = np.random.default_rng(0).integers(0, 2**bits, (11, width), dtype=np.uint8)
    image = Image.fromarray(indices).convert("P")
    image.putpalette(np.random.default_rng(1).integers(0, 256, 3 * 2**bits, dtype=np.uint8).tolist())
    stream = as_stream(image, bits=bits)
    np.testing.assert_array_equal(decoded(stream), by_pillow(stream))


@pytest.mark.parametrize(("mode", "key"), [("L", 0), ("RGB", (0, 60, 120)), ("P", 3), ("P", bytes([0, 200, 90]))])
def test_transparent_colours_are_seen(mode, key):
    image = picture(mode)
    if not isinstance(key, bytes):
        image.putpixel((5, 5), key)
    stream = as_stream(image, transparency=key)
    np.testing.assert_array_equal(decoded(stream), by_pillow(stream))
    assert (decoded(io.BytesIO(stream.getvalue())) == TRANSPARENT).any()


def test_the_size_is_read_and_the_stream_set_back():
    stream = as_stream(picture("RGB", size=(12, 34)))
    assert png_size(stream) == (12, 34)
    assert stream.tell() == 0


def test_a_picture_cut_short_anywhere_is_refused():
    content = as_stream(picture("RGB")).getvalue()
    for length in range(0, len(content) - 20, 97):
        with pytest.raises(ValueError, match=r"truncated|not a PNG|damaged"):
            decoded(io.BytesIO(content[:length]))


def test_a_picture_with_a_changed_byte_never_decodes_to_other_sizes():
    content = bytearray(as_stream(picture("RGB")).getvalue())
    for place in range(33, len(content), 61):
        changed = bytes(content[:place]) + bytes([content[place] ^ 0xFF]) + bytes(content[place + 1 :])
        with suppress(ValueError):
            assert decoded(io.BytesIO(changed)).shape == (53, 37)


def test_sixteen_bits_are_refused():
    with pytest.raises(ValueError, match="16 bits a sample; save it with 8, or give a legend with class numbers"):
        decoded(as_stream(Image.fromarray(np.zeros((4, 4), dtype=np.uint16))))


def chunk(kind, content) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def built(*, methods=(0, 0, 0), palette=None, index=0, more_rows=0, packed=None) -> io.BytesIO:
    """Give a palette PNG of 8 × 6 px of one colour, built chunk by chunk with right checksums."""
    rows = zlib.compress((b"\0" + bytes([index] * 8)) * (6 + more_rows)) if packed is None else packed
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 6, 8, 3, *methods))
    table = b"" if palette is None else chunk(b"PLTE", bytes(palette))
    return io.BytesIO(png.SIGNATURE + head + table + chunk(b"IDAT", rows) + chunk(b"IEND", b""))


def interlaced(indices) -> bytes:
    """Give an interlaced PNG of a palette of two, which Pillow does not write: seven sparse pictures in a row."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    sparse = [indices[top::down, left::across] for top, left, down, across in passes]
    rows = b"".join(np.pad(part, ((0, 0), (1, 0))).tobytes() for part in sparse)  # each row begins with its filter
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", indices.shape[1], len(indices), 8, 3, 0, 0, 1))
    table = chunk(b"PLTE", bytes([1, 2, 3, 4, 5, 6]))
    return png.SIGNATURE + head + table + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("mode", ["P", "RGB"])
@pytest.mark.parametrize("compress_level", [0, 6])
def test_one_flipped_bit_in_what_is_used_is_seen(mode, compress_level):
    """A stored picture (level 0) unpacks without complaint whatever its bytes are."""
    content = as_stream(picture(mode), compress_level=compress_level).getvalue()
    for place in range(len(png.SIGNATURE), len(content) - 12, 7):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        with pytest.raises(ValueError, match=r"damaged|truncated|not a PNG|a chunk"):
            decoded(io.BytesIO(changed))


def test_a_swapped_palette_entry_is_seen():
    content = bytearray(as_stream(picture("P")).getvalue())
    start = content.index(b"PLTE") + 4
    content[start : start + 6] = content[start + 3 : start + 6] + content[start : start + 3]
    with pytest.raises(ValueError, match="PLTE with a wrong checksum"):
        decoded(io.BytesIO(content))


def test_the_checksum_of_the_rows_counts_though_that_of_the_chunk_is_right():
    rows = (b"\0" + bytes(8)) * 6
    wrong = zlib.compress(rows)[:-4] + zlib.adler32(b"other rows").to_bytes(4, "big")
    with pytest.raises(ValueError, match="incorrect data check"):
        decoded(built(palette=[1, 2, 3], packed=wrong))
    with pytest.raises(ValueError, match="truncated"):
        decoded(built(palette=[1, 2, 3], packed=zlib.compress(rows)[:-4]))


def test_what_follows_the_compressed_rows_is_left_alone():
    packed = zlib.compress((b"\0" + bytes(8)) * 6) + bytes(100)
    assert (decoded(built(palette=[1, 2, 3], packed=packed)) == 0x010203).all()


def test_more_rows_than_the_header_says_are_refused():
    with pytest.raises(ValueError, match="more rows than its header says"):
        decoded(built(palette=[1, 2, 3], more_rows=1))


def test_a_colour_that_the_palette_lacks_is_an_error_and_not_black():
    assert (decoded(built(palette=[1, 2, 3, 4, 5, 6], index=1)) == 0x040506).all()
    with pytest.raises(ValueError, match="a px of colour 7, but only 2 colours in its palette"):
        decoded(built(palette=[1, 2, 3, 4, 5, 6], index=7))
    with pytest.raises(ValueError, match="0 colours in its palette"):
        decoded(built(index=0))
    with pytest.raises(ValueError, match="PLTE of 900 bytes"):
        decoded(built(palette=[1, 2, 3] * 300))


@pytest.mark.parametrize("methods", [(7, 0, 0), (0, 7, 0), (0, 0, 7)])
def test_a_method_that_no_png_has_is_refused(methods):
    with pytest.raises(ValueError, match=r"but only 0 is defined|damaged header"):
        decoded(built(methods=methods, palette=[1, 2, 3]))


def test_an_interlaced_picture_is_checked_too():
    indices = np.random.default_rng(0).integers(0, 2, (17, 13), dtype=np.uint8)
    content = interlaced(indices)
    np.testing.assert_array_equal(decoded(io.BytesIO(content)), np.array([0x010203, 0x040506])[indices])
    changed = content.replace(bytes([1, 2, 3, 4, 5, 6]), bytes([4, 5, 6, 1, 2, 3]))
    with pytest.raises(ValueError, match="PLTE with a wrong checksum"):
        decoded(io.BytesIO(changed))
    indices[8, 8] = 7
    with pytest.raises(ValueError, match="a px of colour 7"):
        decoded(io.BytesIO(interlaced(indices)))


def test_what_is_written_is_read_back(tmp_path):
    rng = np.random.default_rng(0)
    palette = [tuple(colour) for colour in rng.integers(0, 256, (8, 3)).tolist()]
    indices = rng.integers(0, 8, (100, 61), dtype=np.uint8)
    stream = io.BytesIO()
    write_palette_png(stream, (61, 100), palette, [indices[:30], indices[30:31], indices[31:]], clear=7)
    stream.seek(0)
    codes = np.array([r << 16 | g << 8 | b for r, g, b in palette[:-1]] + [TRANSPARENT])
    np.testing.assert_array_equal(decoded(stream), codes[indices])
    np.testing.assert_array_equal(by_pillow(stream), codes[indices])


@pytest.mark.slow
def test_a_small_file_of_a_large_picture_is_read_in_bands():
    """100 million px, 400 MB as Pillow would hold them in colour."""
    import tracemalloc

    stream = io.BytesIO()
    rows = (np.zeros((100, 20_000), dtype=np.uint8) for _ in range(50))
    write_palette_png(stream, (20_000, 5_000), [(1, 2, 3), (0, 0, 0)], rows, clear=1)
    assert len(zlib.compress(stream.getvalue())) < 2**20
    stream.seek(0)
    tracemalloc.start()
    seen = sum(int((codes == 0x010203).sum()) for _, codes in png_codes(stream))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seen == 100_000_000
    assert peak < 200 * 2**20


def test_a_picture_of_one_bit_a_px_comes_in_bands_of_few_px():
    stream = as_stream(Image.new("1", (10_000, 3000)))
    assert max(codes.size for _, codes in png_codes(stream)) <= png.BAND_PX == 2_000_000
