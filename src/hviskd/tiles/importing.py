"""Makes a TileSet of pictures that stand in one folder a class; users and the verb `tiles import` call it."""

import math
import os
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hviskd.errors import DataError
from hviskd.progress import progress_bar
from hviskd.threads import in_threads
from hviskd.tiles.card import Origin
from hviskd.tiles.class_folders import Picture, find_pictures
from hviskd.tiles.decoding import LeftOut, picture_size, read_tile
from hviskd.tiles.fitting import Fit, Size, settle_fit
from hviskd.tiles.identity import Identity, read_identities
from hviskd.tiles.tileset import TileSet
from hviskd.tiles.writing import TileSetWriter

_THREADS = min(8, os.cpu_count() or 1)  # beyond eight the disk and the one writer are what one waits for
_AHEAD = 4 * _THREADS


def import_folder(
    folder: Path | str,
    output: Path | str,
    *,
    csv: Path | str | None = None,
    file_column: str = "file",
    slide_column: str = "slide",
    patient_column: str = "patient",
    classes: Sequence[str] | None = None,
    tile_px: int | None = None,
    resize: bool = False,
    mpp: float | None = None,
    licence: str | None = None,
    overwrite: bool = False,
) -> TileSet:
    """Make a TileSet of the JPEG, PNG, TIFF and WebP pictures in `folder`.

    A picture that cannot become a tile is left out, counted, and named on the card (`card.origin`).

    Args:
        folder: Holds one folder a class; or `train`, `val` and `test`, each with one folder a class.
        output: Where the TileSet shall stand.
        csv: Says to which slide and patient each picture belongs, and where on the slide (`x_px`, `y_px`,
            `side_px`, in level-0 px). Without `side_px` the picture is taken to be at level 0.
        file_column: The CSV's column of pictures: by path below `folder`, by name, or by name without suffix.
        slide_column: The CSV's column of slides.
        patient_column: The CSV's column of patients.
        classes: Names and order of the classes; without it the folders' names in alphabetical order.
        tile_px: Side of the tiles: the centre of each picture is cut out, smaller pictures are left out. Without
            it the commonest size of square pictures counts, and pictures of another size are left out.
        resize: Resample the largest centred square of every picture to `tile_px` (Lanczos, antialiased) instead.
        mpp: µm/px of the files as they are; `resize` changes that of the tiles accordingly.
        licence: The pictures' licence, in words; it travels with the TileSet and with what is trained on it.
        overwrite: Replace a TileSet that stands at `output`.

    Raises:
        DataError: The folder or the CSV is not as described, no picture of a class can be used, or the options
            do not fit together; nothing new is left at `output` then.
    """
    folder, output = Path(folder), Path(output)
    _check_options(folder, output, tile_px=tile_px, resize=resize, mpp=mpp)
    pictures, others = find_pictures(folder, classes)
    identities = [Identity()] * len(pictures)
    if csv is not None:
        files = [picture.file for picture in pictures]
        columns = {"file_column": file_column, "slide_column": slide_column, "patient_column": patient_column}
        identities = read_identities(Path(csv), files, **columns)
    options = {"csv": str(csv) if csv else None, "tile_px": tile_px, "resize": resize, "mpp": mpp}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")  # what is wrong with a file is counted, not printed
        sizes = _look(pictures)
        usable = (size for size in sizes if not isinstance(size, LeftOut))
        fit = settle_fit(folder, usable, tile_px=tile_px, resize=resize, mpp=mpp)
        with TileSetWriter(
            output,
            classes=tuple(classes or sorted({picture.class_name for picture in pictures})),
            tile_px=fit.tile_px,
            mpp=fit.mpp,
            origin=Origin(verb="tiles import", source=str(folder), options=options, licence=licence),
            split_record={"by": "folders"} if pictures[0].split else None,
            overwrite=overwrite,
        ) as writer:
            _write(writer, fit, pictures, sizes, identities)
            writer.drop("not JPEG, PNG, TIFF or WebP", times=others)
    return TileSet.open(output)


def _check_options(folder: Path, output: Path, *, tile_px: int | None, resize: bool, mpp: float | None) -> None:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    if output.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{output}: lies in the folder that is imported; choose a place outside {folder}")
    if tile_px is not None and tile_px < 1:
        raise DataError(f"`tile_px={tile_px}`: must be at least 1")
    if resize and tile_px is None:
        raise DataError("`resize=True`: say to which size with `tile_px`")
    if mpp is not None and not (math.isfinite(mpp) and mpp > 0):
        raise DataError(f"`mpp={mpp}`: must be above 0 µm/px")


def _look(pictures: Sequence[Picture]) -> list[Size | LeftOut]:
    """Read the size of every picture from its header; nothing is decoded yet."""
    sizes: list[Size | LeftOut] = []
    with progress_bar("sizes", len(pictures)) as advance:
        for size in in_threads(picture_size, (picture.path for picture in pictures), threads=_THREADS, ahead=_AHEAD):
            sizes.append(size)
            advance()
    return sizes


def _write(
    writer: TileSetWriter,
    fit: Fit,
    pictures: Sequence[Picture],
    sizes: Sequence[Size | LeftOut],
    identities: Sequence[Identity],
) -> None:
    """Decode in threads, write in the pictures' order, and refuse a class of which nothing is left."""

    def read(which: int) -> tuple[NDArray[np.uint8], Identity] | LeftOut:
        size = sizes[which]
        if isinstance(size, LeftOut):
            return size
        misfit = fit.misfit(size)
        if misfit:
            return LeftOut(misfit, f"{size[0]} × {size[1]} px")
        tile = read_tile(pictures[which].path, size=size, square=fit.square(size), tile_px=fit.tile_px)
        return tile if isinstance(tile, LeftOut) else (tile, fit.on_slide(size, identities[which]))

    kept: Counter[str] = Counter()
    with progress_bar("importing", len(pictures)) as advance:
        for picture, result in zip(
            pictures, in_threads(read, range(len(pictures)), threads=_THREADS, ahead=_AHEAD), strict=True
        ):
            if isinstance(result, LeftOut):
                writer.drop(result.reason, picture.file, result.detail)
            else:
                tile, known = result
                place = asdict(known)
                writer.add(tile, file=picture.file, class_name=picture.class_name, split=picture.split, **place)
                kept[picture.class_name] += 1
            advance()
    for name, found in Counter(picture.class_name for picture in pictures).items():
        if not kept[name]:
            raise DataError(f"class {name}: none of its {found} pictures can be used ({writer.left_out()})")
