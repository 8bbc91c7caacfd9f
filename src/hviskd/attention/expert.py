"""Reads what an expert outlined in tiles: from files named like the tiles, or like the slides they were cut from."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from hviskd.annotations import Annotation, Legend, read_annotation
from hviskd.annotations.coco import CocoFile, read_coco
from hviskd.arrays import Bools
from hviskd.attention.slide_outlines import SlideOutlines
from hviskd.errors import DataError
from hviskd.file_names import OUTLINE_SUFFIXES, is_of_many
from hviskd.slide_frame import SlideFrame
from hviskd.slides.flat_image import decode_image
from hviskd.tiles import TileSet

_MASKS = (".png", ".tif", ".tiff", ".bmp")


class Outlines:
    """A folder of an expert's outlines of tiles; each is read when it is asked for.

    A tile's own file goes first: a mask (PNG, TIFF or BMP) or outlines, as `read_annotation` reads them, with the path
    of the tile's file below the TileSet's source or with its name; or a COCO file, by the `file_name` of its images.
    A tile that was cut from a slide and has no file of its own has the outlines of the slide that lie in its field.

    Args:
        folder: Holds the files.
        tileset: The tiles.
        legend: Its classes; then only what has the tile's class is inside. Without it, whatever is outlined is inside,
            and in a mask of a tile whatever is not black.

    Attributes:
        slides: The outlines of whole slides.

    Raises:
        DataError: There is no such folder.
    """

    def __init__(self, folder: Path, tileset: TileSet, legend: Legend | None = None) -> None:
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder of outlines")
        self.folder, self.slides = folder, SlideOutlines(folder, tileset, legend)
        self._tileset, self._legend = tileset, legend
        self._found: dict[str, list[Path]] = {}
        self._sets: list[CocoFile] = []
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in (*_MASKS, *OUTLINE_SUFFIXES) and path.is_file():
                if is_of_many(path):
                    self._sets.append(read_coco(path))
                for key in {path.relative_to(folder).with_suffix("").as_posix(), path.stem}:
                    self._found.setdefault(key, []).append(path)

    def of(self, row: int) -> Bools | None:
        """Read what the expert outlined in a tile, by its row in the TileSet.

        Returns:
            Mask (tile_px, tile_px), true inside; None where the folder has no file for the tile or its slide.

        Raises:
            DataError: Two files would do for the tile, its file is damaged or of another size, or the legend lacks its
                class.
        """
        tile, side = self._tileset.table.iloc[row], self._tileset.tile_px
        path = self._path(str(tile["file"]))
        if path is not None and self._legend is None and path.suffix.lower() not in OUTLINE_SUFFIXES:
            return _unlike_black(path, side)
        if (own := self._own(str(tile["file"]), path)) is not None:
            return self._inside(own, tile["class"], (0, 0, side))
        if tile[["slide", "x_px", "y_px", "side_px"]].isna().any():
            return None
        of_slide = self.slides.of(tile["slide"])
        field = int(tile["x_px"]), int(tile["y_px"]), int(tile["side_px"])
        return None if of_slide is None else self._inside(of_slide, tile["class"], field)

    def drawn(self, rows: Sequence[int]) -> Bools:
        """Tell in which tiles (N,) something is outlined, by reading every outline once.

        Raises:
            DataError: The folder holds nothing for any tile, all its outlines are empty, or as for `of`.
        """
        outlines = (self.of(row) for row in rows)
        found = np.array([-1 if outline is None else int(outline.any()) for outline in outlines])
        if (found < 0).all():
            example = self._tileset.table["file"].iloc[rows[0]] if len(rows) else "none"
            raise DataError(
                f"{self.folder}: no outline has the name of a tile or its slide, for example the tile {example}"
            )
        if (found <= 0).all():
            raise DataError(f"{self.folder}: every outline is empty")
        return found > 0

    def _path(self, file: str) -> Path | None:
        """Return a tile's own file."""
        name = PurePosixPath(file)
        paths = self._found.get(name.with_suffix("").as_posix()) or self._found.get(name.stem, [])
        if len(paths) > 1:
            raise DataError(f"{paths[0]} and {paths[1]}: both have the name of the tile {file}; keep only one")
        return paths[0] if paths else None

    def _own(self, file: str, path: Path | None) -> Annotation | None:
        """Read a tile's own file, or what a COCO file outlines in it."""
        name, size = PurePosixPath(file), (self._tileset.tile_px, self._tileset.tile_px)
        if path is not None:
            return read_annotation(path, legend=self._legend, size=size, slide=name.name)
        called = (file, name.with_suffix("").as_posix(), name.name, name.stem)
        sets = [found for found in self._sets if found.has(called)]
        if len(sets) > 1:
            raise DataError(f"{sets[0].path} and {sets[1].path}: both outline the tile {file}; keep only one")
        return sets[0].outlines(called, legend=self._legend, frame=SlideFrame(size)) if sets else None

    def _inside(self, drawn: Annotation, class_name: str, field: tuple[int, int, int]) -> Bools:
        """Return which px of a tile are inside, whose field is given by its corner and side in px of the annotation."""
        x_px, y_px, side_px = field
        cells = drawn.rasterise(x_px, y_px, side_px, side_px, side_px / self._tileset.tile_px)
        if self._legend is None:
            return np.asarray(cells >= 0)
        index = self._legend.index(class_name)
        if index is None:
            raise DataError(f"legend {self._legend.name}: has no class {class_name}, as tiles have; choose theirs")
        return np.asarray(cells == index)


def _unlike_black(path: Path, tile_px: int) -> Bools:
    picture = decode_image(path, stained=False)
    if picture.size != (tile_px, tile_px):
        raise DataError(
            f"{path}: {picture.width} × {picture.height} px, not {tile_px} px as the tiles; outline these tiles"
        )
    return np.asarray(np.asarray(picture).any(axis=2))
