"""Of DICOM files each series is one slide; what is none is passed over, and what is not read is named."""

from functools import partial

import imagecodecs
import numpy as np
import pytest

from hviskd.errors import DataError
from hviskd.slides import find_slides, open_slide, slide_fingerprint
from hviskd.slides.dicom_files import one_of_each_series, read_dicom
from tests.slides.dicoms import write_dicom, write_object
from tests.slides.make import patterned, reduce_by

ONE, TWO, THREE = "1.2.3.1", "1.2.3.2", "1.2.3.3"
IMAGE = patterned(512, 512, grain_px=8)


def test_each_series_of_a_folder_is_a_slide(tmp_path):
    other = patterned(512, 256, seed=1, grain_px=8)
    write_dicom(tmp_path / "1.dcm", IMAGE[:256, :256], ONE, kind="LABEL")
    write_dicom(tmp_path / "2.dcm", IMAGE, ONE)
    write_dicom(tmp_path / "3.dcm", reduce_by(IMAGE, 2), ONE, mpp=1.0)
    write_dicom(tmp_path / "4.dcm", other, TWO, mpp=0.25)
    write_object(tmp_path / "5.dcm", THREE)
    write_dicom(tmp_path / "6.dcm", IMAGE[:256, :256], "1.2.3.4", kind="OVERVIEW")
    found = find_slides(tmp_path)
    assert [path.name for path in found] == ["2.dcm", "4.dcm"]
    assert found.notes == (
        f"{tmp_path}: 2 DICOM files hold no scan of a slide (but annotations or labels), and are no slides",
    )
    with open_slide(found[0]) as first, open_slide(found[1]) as second:
        assert [level[:2] for level in first.levels] == [(512, 512), (256, 256)]
        assert (first.mpp, second.size, second.mpp) == (0.5, (512, 256), 0.25)
        assert np.abs(second.read(0, 0, 512, 256).astype(int) - other).mean() < 3


def test_a_fingerprint_is_of_the_files_of_one_series(tmp_path):
    slide = write_dicom(tmp_path / "a1.dcm", IMAGE, ONE)
    alone = slide_fingerprint(slide)
    write_dicom(tmp_path / "b1.dcm", IMAGE, TWO)
    assert slide_fingerprint(slide) == alone
    write_dicom(tmp_path / "a2.dcm", reduce_by(IMAGE, 2), ONE, mpp=1.0)
    assert slide_fingerprint(slide) != alone


@pytest.mark.parametrize(
    ("syntax", "encode", "name"),
    [
        ("1.2.840.10008.1.2.4.80", imagecodecs.jpegls_encode, "JPEG-LS"),
        ("1.2.840.10008.1.2.4.201", imagecodecs.htj2k_encode, "HTJ2K"),
    ],
)
def test_a_compression_that_is_not_read_is_named(tmp_path, syntax, encode, name):
    path = write_dicom(tmp_path / "S1.dcm", IMAGE, ONE, syntax=syntax, encode=encode, photometric="RGB")
    said = rf"S1\.dcm: compressed with {name} \(transfer syntax {syntax}\), which is not read; convert it to JPEG or"
    with pytest.raises(DataError, match=said):
        open_slide(path)


def test_jpeg_2000_is_read(tmp_path):
    options = {
        "syntax": "1.2.840.10008.1.2.4.90",
        "encode": partial(imagecodecs.jpeg2k_encode, codecformat="j2k"),
        "photometric": "RGB",
    }
    with open_slide(write_dicom(tmp_path / "S1.dcm", IMAGE, ONE, **options)) as slide:
        assert np.array_equal(slide.read(0, 0, 512, 512), IMAGE)


def test_what_is_not_in_colour_is_refused(tmp_path):
    grey = write_dicom(tmp_path / "grey.dcm", IMAGE[..., 0], ONE, photometric="MONOCHROME2")
    with pytest.raises(DataError, match=r"its pixel format is grey \(one channel\)"):
        open_slide(grey)
    deep = write_dicom(tmp_path / "deep.dcm", IMAGE, TWO, bits=16)
    with pytest.raises(DataError, match="its pixel format is 16 bits per channel"):
        open_slide(deep)


@pytest.mark.parametrize("implicit", [False, True])
def test_an_object_without_an_image_is_no_slide(tmp_path, implicit):
    path = write_object(tmp_path / "a.dcm", ONE, implicit=implicit)
    read = read_dicom(path)
    assert (read.series, read.is_slide_image) == (ONE, False)
    with pytest.raises(DataError, match=r"a\.dcm: a DICOM object without an image of a slide"):
        open_slide(path)
    with pytest.raises(DataError, match="contains no slides.*1 DICOM files hold no scan of a slide"):
        find_slides(tmp_path)


def test_damaged_files_are_one_slide_that_will_be_told(tmp_path):
    for name in ("1.dcm", "2.dcm"):
        (tmp_path / name).write_bytes(b"\7" * 3000)
    assert one_of_each_series(sorted(tmp_path.iterdir())) == ([tmp_path / "1.dcm"], 0)


def test_a_header_with_wrong_bytes_is_read_or_not(tmp_path):
    path, rng = write_object(tmp_path / "a.dcm", ONE), np.random.default_rng(0)
    sound = path.read_bytes()
    for _ in range(300):
        content = bytearray(sound)
        for place in rng.integers(128, len(content), 4):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        assert read_dicom(path) is None or read_dicom(path).series
