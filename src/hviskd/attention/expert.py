"""Reads an expert's outlines of single tiles: masks or outline files named like the tiles."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from hviskd.annotations import read_annotation
from hviskd.errors import DataError
from hviskd.slides.flat_image import decode_image

_MASKS = (".png", ".tif", ".tiff", ".bmp")
_OUTLINES = (".json", ".geojson")


def read_outlines(folder: Path, files: Sequence[str], tile_px: int) -> list[NDArray[np.bool_] | None]:
    """Return, for each tile, what the expert outlined in it.

    Args:
        folder: Holds masks (PNG, TIFF or BMP; what is not black is inside), Labelme or QuPath files (whatever they
            outline is inside), each with the path of its tile's file below the TileSet's source or with its name.
        files: The tiles' files, as a TileSet's column `file` has them.
        tile_px: Side of the tiles.

    Returns:
        Masks (tile_px, tile_px), true inside; None where the folder has no file for a tile.

    Raises:
        DataError: The folder is missing or holds nothing for any tile, two files would do for a tile, or a file is
            damaged or of another size.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of outlines")
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in (*_MASKS, *_OUTLINES) and path.is_file():
            for key in {path.relative_to(folder).with_suffix("").as_posix(), path.stem}:
                found.setdefault(key, []).append(path)
    outlines = [_of_tile(found, PurePosixPath(file), tile_px) for file in files]
    if all(outline is None for outline in outlines):
        raise DataError(f"{folder}: no outline has the name of a tile, for example {files[0] if files else 'none'}")
    return outlines


def _of_tile(found: dict[str, list[Path]], file: PurePosixPath, tile_px: int) -> NDArray[np.bool_] | None:
    paths = found.get(file.with_suffix("").as_posix()) or found.get(file.stem, [])
    if not paths:
        return None
    if len(paths) > 1:
        raise DataError(f"{paths[0]} and {paths[1]}: both have the name of the tile {file}; keep only one")
    return _read(paths[0], tile_px)


def _read(path: Path, tile_px: int) -> NDArray[np.bool_]:
    if path.suffix.lower() in _OUTLINES:
        annotation = read_annotation(path, size=(tile_px, tile_px))
        return np.asarray(annotation.rasterise(0, 0, tile_px, tile_px, 1) >= 0)
    picture = decode_image(path)
    if picture.size != (tile_px, tile_px):
        raise DataError(
            f"{path}: {picture.width} × {picture.height} px, not {tile_px} px as the tiles; outline these tiles"
        )
    return np.asarray(np.asarray(picture).any(axis=2))
