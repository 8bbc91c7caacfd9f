"""A TileSet: a folder of tiles of one size, with labels or all without, read by every step after cutting or importing.

The folder holds `pixels.npy` (N, tile_px, tile_px, 3) uint8, `tiles.parquet` with one row a tile, and the card
`tileset.json`. Opening it reads only the two small files; pixels stay on the disk until they are asked for.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hviskd.arrays import NO_LABEL, Ints
from hviskd.errors import DataError
from hviskd.tiles.card import CARD_FILE, TileSetCard, read_card
from hviskd.tiles.rows import SPLITS, TABLE_FILE, SplitRecord, read_rows

PIXELS_FILE = "pixels.npy"
_SPREAD = 32  # pictures looked at on opening: enough to notice another set's file, too few to wait for
_DIGEST_BYTES = 16


def digest_of(pixels: NDArray[np.uint8]) -> str:
    """Return the content hash of one tile (tile_px, tile_px, 3), as hexadecimal."""
    return hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=_DIGEST_BYTES).hexdigest()


@dataclass(frozen=True, eq=False)
class TileSet:
    """An opened folder of tiles; open one with `TileSet.open`.

    Attributes:
        folder: Its folder.
        card: Its classes, tile size and provenance.
        table: One row per tile: `file`, `class`, `slide`, `patient`, `x_px`, `y_px` and `side_px` (the square in
            level-0 px of the slide), `split`, `digest` (of the pixels). All but file, class and digest may be
            missing, and the class where no tile has a label.
        pixels: (N, tile_px, tile_px, 3) uint8, RGB, memory-mapped and read-only.
        split_record: How the split was made, or None if there is none.
    """

    folder: Path
    card: TileSetCard
    table: pd.DataFrame
    pixels: NDArray[np.uint8]
    split_record: SplitRecord | None

    @classmethod
    def open(cls, folder: "Path | str | TileSet") -> "TileSet":
        """Open a folder and check that its three files match; a TileSet is returned unchanged.

        Raises:
            DataError: A file is missing, damaged, truncated, or does not fit the others.
        """
        if isinstance(folder, TileSet):
            return folder
        folder = Path(folder)
        if not (folder / CARD_FILE).is_file():
            raise DataError(
                f"{folder}: not a TileSet (no {CARD_FILE}); make one with `cut_slides()` or `import_folder()`"
            )
        card = read_card(folder / CARD_FILE)
        pixels = _map_pixels(folder / PIXELS_FILE, card.tile_px)
        table, split_record = read_rows(folder / TABLE_FILE, count=len(pixels), labelled=bool(card.classes))
        unknown = set(table["class"].dropna()) - set(card.classes)
        if unknown:
            raise DataError(f"{folder / TABLE_FILE}: class {min(unknown)!r} is not on the card; create it again")
        tileset = cls(folder, card, table, pixels, split_record)
        tileset.check_pixels(_SPREAD)
        return tileset

    def check_pixels(self, most: int | None = None) -> None:
        """Compare pixels with the digests in the table: `most` tiles spread over the file, or all.

        Raises:
            DataError: A picture is not the one that its row describes.
        """
        count = len(self) if most is None else min(most, len(self))
        for row in np.linspace(0, len(self) - 1, count).round().astype(int):
            if digest_of(self.pixels[row]) != self.table["digest"].iloc[row]:
                raise DataError(
                    f"{self.folder / PIXELS_FILE}: tile {row} does not match {TABLE_FILE}; "
                    "the files are from different TileSets or damaged, so copy or create them again"
                )

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        classes = f"{len(self.classes)} classes" if self.labelled else "no labels"
        return f"TileSet({str(self.folder)!r}: {len(self)} tiles, {self.tile_px} px, {classes})"

    def _repr_html_(self) -> str:
        from hviskd.tiles.notebook_view import tileset_html

        labels = self.labels if self.labelled else np.zeros(len(self), np.int64)
        return tileset_html(repr(self), self.table, self.classes, labels, self.pixels)

    def __reduce__(self) -> tuple[Callable[[Path], "TileSet"], tuple[Path]]:
        # A worker process maps the same file; the default would send it a copy of every pixel.
        return TileSet.open, (self.folder,)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of their labels."""
        return self.card.classes

    @property
    def tile_px(self) -> int:
        """Side of every tile in px."""
        return self.card.tile_px

    @property
    def mpp(self) -> float | None:
        """µm per tile pixel, or None if unknown."""
        return self.card.mpp

    @property
    def labelled(self) -> bool:
        """Whether the tiles have labels; all or none of them do."""
        return bool(self.classes)

    def require_labels(self) -> None:
        """Refuse tiles without labels, for what needs them.

        Raises:
            DataError: The tiles have no labels.
        """
        if not self.labelled:
            raise DataError(
                f"{self.folder}: needs labelled tiles, but these have no labels; such tiles can only join a "
                "distillation, as `unlabelled`"
            )

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """(N,) int64: the position of each tile's class in `classes`.

        Raises:
            DataError: The tiles have no labels.
        """
        self.require_labels()
        return np.asarray(pd.Index(self.classes).get_indexer(pd.Index(self.table["class"])), dtype=np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the tiles' digests, labels and classes, as hexadecimal; independent of the split."""
        content = hashlib.sha256(json.dumps([self.tile_px, *self.classes]).encode())
        content.update("\n".join(self.table["digest"]).encode())
        labels = self.labels if self.labelled else np.full(len(self), NO_LABEL)
        content.update(labels.astype("<i8").tobytes())
        return content.hexdigest()

    @property
    def split_fingerprint(self) -> str:
        """SHA-256 over `fingerprint` and each tile's split, as hexadecimal."""
        splits = "\n".join(self.table["split"].fillna(""))
        return hashlib.sha256(f"{self.fingerprint}\n{splits}".encode()).hexdigest()

    def rows(self, split: str | None = None) -> NDArray[np.int64]:
        """Return the row numbers of one split in ascending order, or of all tiles if `split` is None.

        Raises:
            DataError: There is no split of that name; a split without tiles gives an empty array instead.
        """
        if split is None:
            return np.arange(len(self), dtype=np.int64)
        if split not in SPLITS:
            raise DataError(f"{self.folder}: unknown split {split!r}; choose one of {', '.join(SPLITS)}")
        return np.flatnonzero((self.table["split"] == split).to_numpy(dtype=bool)).astype(np.int64)

    def require_split(self, split: str) -> Ints:
        """Return the row numbers of a split that must have tiles, in ascending order.

        Raises:
            DataError: There is no split of that name, it is empty, or the tiles have no labels.
        """
        self.require_labels()
        rows = self.rows(split)
        if not len(rows):
            raise DataError(f"{self.folder}: no tiles in the {split} split; split them with `split_tiles()`")
        return rows

    def missing_classes(self) -> dict[str, tuple[str, ...]]:
        """Return the classes without tiles in a split, by split; of the classes that have tiles at all.

        What is measured on such a split, such as the accuracy by which an epoch is chosen, says nothing about them.
        Splits without any tiles are left out, and so are tiles without labels.
        """
        if not self.labelled:
            return {}
        present, missing = set(self.labels.tolist()), {}
        for split in SPLITS:
            held = set(self.labels[self.rows(split)].tolist())
            if held and held != present:
                missing[split] = tuple(self.classes[label] for label in sorted(present - held))
        return missing

    def clusters(self, rows: NDArray[np.int64]) -> tuple[Literal["patient", "slide", "tile"], NDArray[np.str_]]:
        """Return the independent unit of each of `rows`, for statistics that resample such units.

        Returns:
            The level, "patient" if every one of `rows` has a patient, else "slide" if every one has a slide,
            else "tile"; and (len(rows),) names: of the patient, of the slide, or the row number.
        """
        chosen = self.table.iloc[rows]
        if chosen["patient"].notna().all():
            return "patient", chosen["patient"].to_numpy(dtype=np.str_)
        if chosen["slide"].notna().all():
            return "slide", chosen["slide"].to_numpy(dtype=np.str_)
        return "tile", np.asarray(rows).astype(np.str_)


def _map_pixels(path: Path, tile_px: int) -> NDArray[np.uint8]:
    """Map the pixel file into memory, if its header agrees with the card and the file's length."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; the TileSet is incomplete, create it again")
    try:
        with path.open("rb") as stream:
            if np.lib.format.read_magic(stream) != (1, 0):
                raise DataError(f"{path}: not a pixel file of a TileSet; create it again")
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(stream)
            start = stream.tell()
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path}: not a readable .npy file ({error}); create it again") from error
    if dtype != np.uint8 or fortran_order or len(shape) != 4 or shape[1:] != (tile_px, tile_px, 3):
        raise DataError(
            f"{path}: contains {dtype} {shape}, but the card says uint8 (N, {tile_px}, {tile_px}, 3); create it again"
        )
    expected = start + shape[0] * 3 * tile_px**2
    if shape[0] < 1 or path.stat().st_size != expected:
        raise DataError(f"{path}: {path.stat().st_size} bytes, but {shape[0]} tiles need {expected}; copy it again")
    return np.memmap(path, dtype=np.uint8, mode="r", offset=start, shape=shape)
