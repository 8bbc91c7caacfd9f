"""Opens slides, and finds slides in folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hviskd.errors import DataError
from hviskd.file_names import FLAT_SUFFIXES, MASK_ENDINGS, WHOLE_SLIDE_SUFFIXES, slide_names
from hviskd.version import DRAWN_BY

if TYPE_CHECKING:
    from hviskd.slides.slide import Slide

_RESULTS = ("map.npz", "tileset.json")  # what tells a folder of pictures that this program wrote


def open_slide(path: Path | str, *, slide_mpp: float | None = None) -> "Slide":
    """Open a slide: any format of OpenSlide, an OME-TIFF or tiled TIFF, or a flat JPEG, PNG or TIFF of at most 2 Gpx.

    Args:
        path: The file; of a DICOM slide any of its files, of a MIRAX slide the `.mrxs`.
        slide_mpp: µm/px at level 0, for files whose metadata lacks it or is wrong. It takes precedence over the file's;
            a difference of more than 5 % is reported in the slide's `notes`.

    Raises:
        DataError: The file is missing, damaged or not a slide; or its µm/px is missing or absurd (below 0.05 or above
            20) and not given.
    """
    from hviskd.orientation import require_upright
    from hviskd.slides.flat_image import FlatImage
    from hviskd.slides.openslide_file import OpenSlideFile
    from hviskd.slides.pixel_check import require_colour_of_scan
    from hviskd.slides.reader_choice import choose_reader
    from hviskd.slides.tiff_file import TiffFile

    path = Path(path)
    _require_file(path)
    reader = choose_reader(path)
    if reader == "none":
        hint = " (the folder of the same name must be beside it)" if path.suffix.lower() == ".mrxs" else ""
        raise DataError(f"{path}: damaged or not a slide{hint}; copy or download it again")
    require_upright(path)
    if reader == "openslide":
        require_colour_of_scan(path)
        return OpenSlideFile(path, slide_mpp=slide_mpp)
    return (TiffFile if reader == "tiff" else FlatImage)(path, slide_mpp=slide_mpp)


def is_flat(path: Path) -> bool:
    """Return whether a file is a flat image, from its suffix and content.

    Raises:
        DataError: The file is missing or empty.
    """
    _require_file(path)
    from hviskd.slides.reader_choice import choose_reader

    return choose_reader(path) == "flat"


def find_slides(paths: Path | str | Sequence[Path | str], *, recursive: bool = False) -> list[Path]:
    """List the slides among files and in folders, each once, sorted within a folder.

    Files are taken unchanged; in a folder, files with a slide's suffix count, except hidden files, colour masks
    beside their slides (`STEM_L.png`), figures, and the maps and tiles of earlier runs. The DICOM files of a
    folder are one slide.

    Raises:
        DataError: A path does not exist, or a folder contains no slides.
    """
    found: list[Path] = []
    for path in map(Path, [paths] if isinstance(paths, Path | str) else paths):
        if path.is_dir():
            inside = _slides_in(path, recursive)
            if not inside:
                deeper = "" if recursive else " (subfolders were not searched; pass `recursive=True`)"
                raise DataError(f"{path}: contains no slides{deeper}")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise DataError(f"{path}: no such file or folder")
    once: dict[Path, Path] = {}
    for path in found:
        once.setdefault(path.resolve(), path)
    return list(once.values())


def _require_file(path: Path) -> None:
    try:
        path.name.encode()
    except UnicodeEncodeError as error:  # no file that is written could say which slide it is of
        raise DataError(f"{path.name!a}: the file's name is not UTF-8; rename it") from error
    if not path.is_file():
        raise DataError(f"{path}: {'a folder, not a slide' if path.is_dir() else 'no such file'}")
    with path.open("rb") as stream:  # a file that may not be read says so itself
        if not stream.read(1):
            raise DataError(f"{path}: empty; copy or download it again")


def _slides_in(folder: Path, recursive: bool) -> list[Path]:
    slides: list[Path] = []
    dicom_folders: set[Path] = set()
    for path in sorted(folder.rglob("*") if recursive else folder.iterdir()):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        suffix = path.suffix.lower()
        if hidden or suffix not in WHOLE_SLIDE_SUFFIXES + FLAT_SUFFIXES or path.is_dir():
            continue
        if suffix == ".dcm":
            if path.parent in dicom_folders:
                continue
            dicom_folders.add(path.parent)
        slides.append(path)
    results = {parent for parent in {path.parent for path in slides} if any((parent / r).exists() for r in _RESULTS)}
    stems = {str(path.with_name(name)) for path in slides for name in slide_names(path)}
    return [path for path in slides if path.parent not in results and not (_is_mask(path, stems) or _is_drawn(path))]


def _is_drawn(path: Path) -> bool:
    """Return whether an image is a figure drawn by hviskd, from its first bytes."""
    if path.suffix.lower() != ".png" or not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            return f"Software\0{DRAWN_BY}".encode() in stream.read(512)
    except OSError:  # it will say so itself when it is opened
        return False


def _is_mask(path: Path, stems: set[str]) -> bool:
    """Return whether an image is named as the mask of one of the slides (all paths they go by)."""
    stem = str(path.with_suffix(""))
    named = any(stem.endswith(ending) and stem.removesuffix(ending) in stems for ending in MASK_ENDINGS)
    return named and path.suffix.lower() in FLAT_SUFFIXES
