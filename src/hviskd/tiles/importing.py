"""Makes a TileSet from images in one folder per class."""

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hviskd.errors import DataError
from hviskd.processor import usable_cpus
from hviskd.progress import Advance, Progress, progress_bar
from hviskd.threads import in_threads
from hviskd.tiles.card import Origin
from hviskd.tiles.class_folders import Picture, find_pictures
from hviskd.tiles.decoding import LeftOut, picture_size, read_tile
from hviskd.tiles.fitting import Fit, ImportSettings, Size, settle_fit
from hviskd.tiles.layouts import Layout
from hviskd.tiles.rows import SplitRecord, TileSource
from hviskd.tiles.source_csv import CsvColumns, read_sources
from hviskd.tiles.tileset import TileSet
from hviskd.tiles.writing import TileSetWriter, new_card

_THREADS = min(8, usable_cpus())  # beyond eight the disk and the one writer are what one waits for
_AHEAD = 4 * _THREADS


def import_folder(
    folder: Path | str,
    output: Path | str,
    *,
    csv: Path | str | None = None,
    columns: CsvColumns | None = None,
    settings: ImportSettings | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> TileSet:
    """Make a TileSet from the JPEG, PNG, TIFF and WebP images in `folder`.

    Images that cannot become a tile are skipped, counted, and listed on the card (`card.origin`).

    Args:
        folder: Folder with one subfolder per class; or `train`, `val` and `test` (under any usual name), each with one
            subfolder per class; or the tree of BreakHis; or the layout of `settings.layout`.
        output: Folder for the TileSet.
        csv: Lists which slide and patient each image belongs to, and its position on the slide (`x_px`, `y_px`,
            `side_px`, in level-0 px). Without `side_px`, the image is assumed to be at level 0.
        columns: Names of its columns, if not file, slide and patient.
        settings: Which images become tiles; by default those of `ImportSettings`.
        overwrite: Replace an existing TileSet.
        progress: Called with done, total and what is being done; a bar by default.

    Raises:
        DataError: The folder or the CSV is not as described, or no image of a class can be used; nothing new is left
            at `output` then.
    """
    folder, output, settings = Path(folder), Path(output), settings or ImportSettings()
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    if output.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{output}: is inside the imported folder; choose a place outside {folder}")
    pictures, others = find_pictures(folder, settings.classes, Layout(settings.layout) if settings.layout else None)
    sources = [picture.source for picture in pictures]
    if csv is not None:
        listed = read_sources(Path(csv), [picture.file for picture in pictures], columns or CsvColumns())
        sources = [told.or_else(source) for told, source in zip(listed, sources, strict=True)]
    options = {name: getattr(settings, name) for name in ("layout", "tile_px", "resize", "mpp")}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")  # what is wrong with a file is counted, not printed
        sizes = _look(pictures, progress)
        fit = settle_fit(folder, (size for size in sizes if not isinstance(size, LeftOut)), settings)
        card = new_card(
            tuple(settings.classes or sorted({picture.class_name for picture in pictures})),
            tile_px=fit.tile_px,
            mpp=fit.mpp,
            origin=Origin(
                verb="tiles import",
                source=str(folder),
                options={"csv": str(csv) if csv else None, **options},
                licence=settings.licence,
            ),
        )
        record: SplitRecord | None = {"by": "folders"} if pictures[0].split else None
        with TileSetWriter(output, card, split_record=record, overwrite=overwrite) as writer:
            with progress_bar("importing", len(pictures), progress) as advance:
                _write(writer, fit, pictures, sizes, sources, advance)
            writer.drop("not JPEG, PNG, TIFF or WebP", times=others)
    return TileSet.open(output)


def _look(pictures: Sequence[Picture], progress: Progress | None) -> list[Size | LeftOut]:
    """Read the size of every image from its header, without decoding."""
    sizes: list[Size | LeftOut] = []
    with progress_bar("reading sizes", len(pictures), progress) as advance:
        for size in in_threads(picture_size, (picture.path for picture in pictures), threads=_THREADS, ahead=_AHEAD):
            sizes.append(size)
            advance()
    return sizes


def _write(
    writer: TileSetWriter,
    fit: Fit,
    pictures: Sequence[Picture],
    sizes: Sequence[Size | LeftOut],
    sources: Sequence[TileSource],
    advance: Advance,
) -> None:
    """Decode in threads, write in the order of the images, and reject a class of which nothing remains."""

    def read(which: int) -> tuple[NDArray[np.uint8], TileSource] | LeftOut:
        size = sizes[which]
        if isinstance(size, LeftOut):
            return size
        misfit = fit.misfit(size)
        if misfit:
            return LeftOut(misfit, f"{size[0]} × {size[1]} px")
        tile = read_tile(pictures[which].path, size=size, square=fit.square(size), tile_px=fit.tile_px)
        return tile if isinstance(tile, LeftOut) else (tile, fit.on_slide(size, sources[which]))

    kept: Counter[str] = Counter()
    results = in_threads(read, range(len(pictures)), threads=_THREADS, ahead=_AHEAD)
    for picture, result in zip(pictures, results, strict=True):
        if isinstance(result, LeftOut):
            writer.drop(result.reason, picture.file, result.detail)
        else:
            tile, source = result
            writer.add(tile, file=picture.file, class_name=picture.class_name, source=source, split=picture.split)
            kept[picture.class_name] += 1
        advance()
    for name, found in Counter(picture.class_name for picture in pictures).items():
        if not kept[name]:
            raise DataError(f"class {name}: none of its {found} images can be used ({writer.left_out()})")
