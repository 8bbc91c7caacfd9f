"""A picture that is stored rotated or mirrored is refused as a slide and as a mask, whatever its format."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from hviskd.annotations import find_masks, load_legend, read_annotation
from hviskd.errors import DataError
from hviskd.orientation import orientation_of, require_upright
from hviskd.slides import open_slide

PICTURE = np.random.default_rng(0).integers(0, 255, (256, 384, 3)).astype(np.uint8)


def write(path, orientation, **options):
    """Write a picture with an Orientation, in a TIFF of its own tag, in a JPEG or PNG by Exif."""
    if path.suffix == ".tif":
        tag = [(274, 3, 1, orientation, True)]
        tifffile.imwrite(path, PICTURE, photometric="rgb", extratags=tag, metadata=None, **options)
    else:
        exif = Image.Exif()
        exif[274] = orientation
        Image.fromarray(PICTURE).save(path, exif=exif)
    return path


KINDS = {"flat.jpg": {}, "flat.png": {}, "flat.tif": {}, "deflate.tif": {"tile": (128, 128), "compression": "zlib"}}
KINDS |= {"jpeg.tif": {"tile": (128, 128), "compression": "jpeg"}, "lzw.tif": {"compression": "lzw"}}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", KINDS)
def test_every_orientation_is_found_in_every_format(tmp_path, name, orientation):
    path = write(tmp_path / name, orientation, **KINDS[name])
    assert orientation_of(path) == orientation
    if orientation == 1:
        require_upright(path)
        open_slide(path, slide_mpp=0.5).close()
    else:
        said = rf"{name}: stored rotated or mirrored \(orientation {orientation}\); save it upright"
        with pytest.raises(DataError, match=said):
            open_slide(path, slide_mpp=0.5)


@pytest.mark.parametrize("name", ["flat.jpg", "flat.png", "flat.tif", "deflate.tif"])
def test_a_mask_that_is_stored_turned_is_refused(tmp_path, name):
    path = write(tmp_path / name, 6, **KINDS[name])
    with pytest.raises(DataError, match=r"stored rotated or mirrored \(orientation 6\)"):
        read_annotation(path, legend=load_legend("ivygap"))
    assert find_masks(path) == [path]


def test_a_level_that_is_turned_counts_and_a_label_does_not(tmp_path):
    path = tmp_path / "slide.tif"
    for label, level, found in ((6, 1, 1), (1, 6, 6)):
        with tifffile.TiffWriter(path) as out:
            tiled = {"photometric": "rgb", "metadata": None, "tile": (128, 128)}
            out.write(PICTURE, **tiled)
            out.write(PICTURE[:100, :100], photometric="rgb", metadata=None, extratags=[(274, 3, 1, label, True)])
            out.write(PICTURE[::2, ::2], **tiled, extratags=[(274, 3, 1, level, True)])
        assert orientation_of(path) == found


@pytest.mark.parametrize("name", ["flat.jpg", "flat.png", "deflate.tif"])
def test_a_damaged_file_tells_no_orientation(tmp_path, name):
    path = write(tmp_path / name, 6, **KINDS[name])
    content = path.read_bytes()
    for end in range(60):
        path.write_bytes(content[:end])
        assert orientation_of(path) in (1, 6)
