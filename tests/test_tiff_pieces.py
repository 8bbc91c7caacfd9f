"""Pieces of a TIFF that libtiff unpacks are what was packed, whatever their samples."""

from itertools import product

import numpy as np
import pytest
import tifffile

from hviskd.tiff_pieces import LZW, PACKBITS, unpacked_by_libtiff

SHAPE = (64, 48)


def packed(path, samples, **options):
    """Pack one strip with tifffile, and give its bytes."""
    tifffile.imwrite(path, samples, rowsperstrip=SHAPE[0], metadata=None, **options)
    with tifffile.TiffFile(path) as tiff:
        tiff.filehandle.seek(tiff.pages[0].dataoffsets[0])
        return tiff.filehandle.read(tiff.pages[0].databytecounts[0])


@pytest.mark.parametrize(("bits", "samples"), [*product((8, 16), (1, 2, 3, 4))])
def test_what_was_packed_comes_out(tmp_path, bits, samples):
    pixels = (np.random.default_rng(0).integers(0, 2**bits, (*SHAPE, samples)) // 7 * 7).astype(f"u{bits // 8}")
    for (compression, predictor), order in product(((LZW, 1), (LZW, 2), (PACKBITS, 1)), "<>"):
        options = {"compression": compression, "photometric": "minisblack", "byteorder": order}
        options |= {"predictor": 2} if predictor == 2 else {}
        options |= {"planarconfig": "contig"} if samples > 1 else {}
        content = packed(tmp_path / "a.tif", pixels if samples > 1 else pixels[..., 0], **options)
        how = {"compression": compression, "bits": bits, "predictor": predictor, "order": order}
        assert np.array_equal(unpacked_by_libtiff(content, (*SHAPE, samples), **how), pixels)


def test_single_bits_become_bytes(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 2, SHAPE).astype(bool)
    unpacked = unpacked_by_libtiff(
        packed(tmp_path / "a.tif", pixels, compression="lzw"), (*SHAPE, 1), compression=LZW, bits=1
    )
    assert unpacked.dtype == np.uint8
    assert np.array_equal(unpacked[..., 0], pixels)


def test_damage_is_an_error(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8)
    content = packed(tmp_path / "a.tif", pixels, compression="lzw")
    with pytest.raises(ValueError, match="damaged LZW"):
        unpacked_by_libtiff(content[:100], (*SHAPE, 1), compression=LZW)
