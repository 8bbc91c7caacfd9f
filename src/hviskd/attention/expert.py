"""Reads an expert's outlines of single tiles: masks or outline files named like the tiles."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from hviskd.annotations import Annotation, read_annotation
from hviskd.annotations.coco import CocoFile, read_coco
from hviskd.arrays import Bools
from hviskd.errors import DataError
from hviskd.file_names import OUTLINE_SUFFIXES, is_of_many
from hviskd.slide_frame import SlideFrame
from hviskd.slides.flat_image import decode_image

_MASKS = (".png", ".tif", ".tiff", ".bmp")


class Outlines:
    """A folder of an expert's outlines; each is read when it is asked for.

    Args:
        folder: Holds masks (PNG, TIFF or BMP; what is not black is inside) or outlines, as `read_annotation` reads them
            (whatever they outline is inside), each with the path of its tile's file below the TileSet's source or with
            its name. Tiles without a file of their own are looked for in COCO files, by the `file_name` of images.
        tile_px: Side of the tiles.

    Raises:
        DataError: There is no such folder.
    """

    def __init__(self, folder: Path, tile_px: int) -> None:
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder of outlines")
        self.folder, self.tile_px = folder, tile_px
        self._found: dict[str, list[Path]] = {}
        self._sets: list[CocoFile] = []
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in (*_MASKS, *OUTLINE_SUFFIXES) and path.is_file():
                if is_of_many(path):
                    self._sets.append(read_coco(path))
                for key in {path.relative_to(folder).with_suffix("").as_posix(), path.stem}:
                    self._found.setdefault(key, []).append(path)

    def of(self, file: str) -> Bools | None:
        """Read what the expert outlined in a tile.

        Args:
            file: The tile's file, as a TileSet's column `file` has it.

        Returns:
            Mask (tile_px, tile_px), true inside; None where the folder has no file for the tile.

        Raises:
            DataError: Two files would do for the tile, or its file is damaged or of another size.
        """
        name = PurePosixPath(file)
        paths = self._found.get(name.with_suffix("").as_posix()) or self._found.get(name.stem, [])
        if len(paths) > 1:
            raise DataError(f"{paths[0]} and {paths[1]}: both have the name of the tile {file}; keep only one")
        if paths:
            return _read(paths[0], name.name, self.tile_px)
        called = (file, name.with_suffix("").as_posix(), name.name, name.stem)
        sets = [found for found in self._sets if found.has(called)]
        if len(sets) > 1:
            raise DataError(f"{sets[0].path} and {sets[1].path}: both outline the tile {file}; keep only one")
        side = (self.tile_px, self.tile_px)
        return _inside(sets[0].outlines(called, legend=None, frame=SlideFrame(side)), self.tile_px) if sets else None

    def drawn(self, files: Sequence[str]) -> Bools:
        """Tell in which tiles (N,) something is outlined, by reading every outline once.

        Raises:
            DataError: The folder holds nothing for any tile, all its outlines are empty, or as for `of`.
        """
        outlines = (self.of(file) for file in files)
        found = np.array([-1 if outline is None else int(outline.any()) for outline in outlines])
        if (found < 0).all():
            raise DataError(
                f"{self.folder}: no outline has the name of a tile, for example {files[0] if files else 'none'}"
            )
        if (found <= 0).all():
            raise DataError(f"{self.folder}: every outline is empty")
        return found > 0


def _inside(annotation: Annotation, tile_px: int) -> Bools:
    return np.asarray(annotation.rasterise(0, 0, tile_px, tile_px, 1) >= 0)


def _read(path: Path, tile: str, tile_px: int) -> Bools:
    if path.suffix.lower() in OUTLINE_SUFFIXES:
        return _inside(read_annotation(path, size=(tile_px, tile_px), slide=tile), tile_px)
    picture = decode_image(path, stained=False)
    if picture.size != (tile_px, tile_px):
        raise DataError(
            f"{path}: {picture.width} × {picture.height} px, not {tile_px} px as the tiles; outline these tiles"
        )
    return np.asarray(np.asarray(picture).any(axis=2))
