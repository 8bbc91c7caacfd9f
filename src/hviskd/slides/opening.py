"""Opens slides of any format."""

from pathlib import Path
from typing import TYPE_CHECKING

from hviskd.errors import DataError
from hviskd.slides.foreign import foreign_kind
from hviskd.slides.remote_path import RemotePath, as_remote

if TYPE_CHECKING:
    from hviskd.slides.slide import Slide


def open_slide(path: Path | str, *, slide_mpp: float | None = None, icc: bool = False) -> "Slide":
    """Open a slide: any format of OpenSlide, an OME-TIFF or tiled TIFF, or a flat JPEG, PNG or TIFF of at most 2 Gpx.

    Args:
        path: The file; of a DICOM slide any of its files, of a MIRAX slide the `.mrxs`. Or a URL: `s3://`, `gs://` or
            `https://`, of which a copy is kept in the user's cache folder.
        slide_mpp: µm/px at level 0, for files whose metadata lacks it or is wrong. It takes precedence over the file's;
            a difference of more than 5 % is reported in the slide's `notes`.
        icc: Convert pixels to sRGB by the file's ICC profile, if it has one; see `Slide.convert_to_srgb`.

    Raises:
        DataError: The file is missing, damaged or not a slide; or its µm/px is missing or absurd (below 0.05 or above
            20) and not given.
        OSError: The server of a URL cannot be read, or the copy not be written.
    """
    remote = as_remote(path)
    slide = _opened(Path(path), slide_mpp) if remote is None else _borrowed(remote, slide_mpp)
    if icc:
        slide.convert_to_srgb()
    return slide


def _borrowed(path: RemotePath, slide_mpp: float | None) -> "Slide":
    """Open the copy of a slide on a server, which stays in the cache at least until the slide is closed."""
    from hviskd.slides.slide_cache import borrow

    copy, give_back = borrow(path)
    try:
        slide = _opened(copy, slide_mpp)
    except BaseException:
        give_back()
        raise
    slide.when_closed = give_back
    return slide


def _opened(path: Path, slide_mpp: float | None) -> "Slide":
    from hviskd.orientation import require_upright
    from hviskd.slides.dicom_files import require_readable
    from hviskd.slides.flat_image import FlatImage
    from hviskd.slides.openslide_file import OpenSlideFile
    from hviskd.slides.pixel_check import require_colour_of_scan
    from hviskd.slides.reader_choice import choose_reader
    from hviskd.slides.tiff_file import TiffFile

    _require_file(path)
    reader = choose_reader(path)
    require_readable(path)
    if reader == "none":
        if kind := foreign_kind(path):
            raise DataError(f"{path}: {kind}")
        hint = " (the folder of the same name must be beside it)" if path.suffix.lower() == ".mrxs" else ""
        raise DataError(f"{path}: damaged or not a slide{hint}; copy or download it again")
    if reader == "tiff":
        return TiffFile(path, slide_mpp=slide_mpp)
    require_upright(path)
    if reader == "flat":
        return FlatImage(path, slide_mpp=slide_mpp)
    require_colour_of_scan(path)
    return OpenSlideFile(path, slide_mpp=slide_mpp)


def is_flat(path: Path) -> bool:
    """Return whether a file is a flat image, from its suffix and content.

    Raises:
        DataError: The file is missing or empty.
    """
    _require_file(path)
    from hviskd.slides.reader_choice import choose_reader

    return choose_reader(path) == "flat"


def _require_file(path: Path) -> None:
    try:
        path.name.encode()
    except UnicodeEncodeError as error:  # no file that is written could say which slide it is of
        raise DataError(f"{path.name!a}: the file's name is not UTF-8; rename it") from error
    if not path.is_file():
        kind = foreign_kind(path) or "a folder, not a slide"
        raise DataError(f"{path}: {kind if path.is_dir() else 'no such file'}")
    with path.open("rb") as stream:  # a file that may not be read says so itself
        if not stream.read(1):
            raise DataError(f"{path}: empty; copy or download it again")
