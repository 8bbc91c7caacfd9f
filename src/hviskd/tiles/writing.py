"""Writes a TileSet tile by tile, in constant memory."""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hviskd.arrays import Colour
from hviskd.colours import class_colours
from hviskd.errors import DataError
from hviskd.slides.stain import Stain
from hviskd.storage import atomic_folder, write_json
from hviskd.tiles.card import CARD_FILE, FORMAT_VERSION, Origin, TileSetCard, check_card
from hviskd.tiles.rows import COLUMNS, SPLITS, TABLE_FILE, UNKNOWN_SOURCE, SplitRecord, TileSource, write_rows
from hviskd.tiles.tileset import PIXELS_FILE, digest_of

_NAMES_KEPT = 100  # of what was left out; the counts are complete


class TileRow(NamedTuple):
    """The metadata of one tile, in the order of the table; `TileSetWriter.add` describes the fields."""

    file: str
    class_name: str | None
    slide: str | None
    patient: str | None
    x_px: int | None
    y_px: int | None
    side_px: int | None
    split: str | None
    digest: str


def new_card(
    classes: Sequence[str],
    *,
    tile_px: int,
    origin: Origin,
    mpp: float | None = None,
    colours: Sequence[Colour] | None = None,
    stain: Stain | None = None,
    icc: bool = False,
    labelled: bool = True,
) -> TileSetCard:
    """Make the card of a new TileSet.

    Args:
        classes: Class names in the order of their labels; there may be classes without tiles.
        tile_px: Side of every tile in pixels.
        origin: What makes the TileSet.
        mpp: µm per tile pixel, or None if unknown.
        colours: One RGB colour per class; without them the project's palette.
        stain: The stain that all tiles are given; None where each slide keeps its own.
        icc: Whether pixels are converted to sRGB by the slides' ICC profiles.
        labelled: Whether tiles have labels; without, there are no classes.

    Raises:
        DataError: A value is impossible.
    """
    if labelled != bool(classes):
        raise DataError("the card of labelled tiles needs at least one class, that of tiles without labels has none")
    content = {
        "format_version": FORMAT_VERSION,
        "classes": tuple(classes),
        "colours": tuple(class_colours(len(classes)) if colours is None else colours),
        "tile_px": tile_px,
        "mpp": mpp,
        "origin": origin,
        "stain": stain,
        "icc": icc,
    }
    return check_card(content, Path(CARD_FILE))


def write_header(stream: BinaryIO, count: int, tile_px: int) -> None:
    """Begin a pixel file of `count` tiles; numpy pads the header, so that any other count takes the same space."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, tile_px, tile_px, 3)}
    np.lib.format.write_array_header_1_0(stream, header)


class TileSetWriter:
    """A context manager to which tiles are added one by one; the folder gets its name if the block ends without error.

    Example:
        card = new_card(("A", "B"), tile_px=64, origin=Origin(verb="example"))
        with TileSetWriter(folder, card) as writer:
            writer.add(pixels, file="a.png", class_name="A", source=TileSource(patient="P1"))

    Args:
        folder: Where the TileSet shall stand.
        card: The facts about all tiles; what `drop` counts is added to its origin.
        split_record: How the splits that `add` is given were made.
        overwrite: Replace a TileSet that stands at `folder`.

    Raises:
        DataError: `folder` is taken, or no tile was added.
    """

    def __init__(
        self,
        folder: Path,
        card: TileSetCard,
        *,
        split_record: SplitRecord | None = None,
        overwrite: bool = False,
    ) -> None:
        self._folder = folder
        self._card = card
        self._split_record = split_record
        self._overwrite = overwrite
        self._rows: list[TileRow] = []
        self._dropped: Counter[str] = Counter()
        self._dropped_files: list[str] = []

    def __enter__(self) -> Self:
        folder = atomic_folder(self._folder, overwrite=self._overwrite, replaces=(CARD_FILE, "TileSet"))
        with ExitStack() as stack:
            self._partial: Path = stack.enter_context(folder)
            self._stream: BinaryIO = (self._partial / PIXELS_FILE).open("wb")
            stack.callback(lambda: self._stream.close())
            write_header(self._stream, 0, self._card.tile_px)
            stack.push(self._finish)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def __len__(self) -> int:
        return len(self._rows)

    def add(
        self,
        pixels: NDArray[np.uint8],
        *,
        file: str,
        class_name: str | None,
        source: TileSource = UNKNOWN_SOURCE,
        split: str | None = None,
    ) -> None:
        """Append one tile.

        Args:
            pixels: (tile_px, tile_px, 3) uint8, RGB.
            file: The name by which a person finds the tile again.
            class_name: One of the classes; None if the card has no classes.
            source: From which patient and slide it is, and from where on the slide, as far as known.
            split: "train", "val" or "test", if already settled.

        Raises:
            DataError: The pixels have another shape or dtype, or the class or the split is unknown.
        """
        expected = (self._card.tile_px, self._card.tile_px, 3)
        if pixels.shape != expected or pixels.dtype != np.uint8:
            raise DataError(f"{file}: a tile of {pixels.dtype} {pixels.shape}, not uint8 {expected}")
        row = TileRow(file, class_name, *source, split, digest_of(pixels))
        self._check_row(row)
        self._stream.write(np.ascontiguousarray(pixels).data)
        self._rows.append(row)

    def take(self, pixels: Path, rows: Iterable[TileRow]) -> None:
        """Use a finished pixel file, on the same disk as the TileSet, without copying it.

        Where the file system can do it, the file keeps its old name too, so that an error or a kill before the
        TileSet stands costs nothing.

        Args:
            pixels: The file; whoever made it deletes it, if it is still there. It begins with what `write_header`
                writes, for any count.
            rows: One a tile, in the file's order.

        Raises:
            DataError: A row's class or split is unknown, or there are more or fewer tiles than rows.
            ValueError: A tile was added before.
        """
        if self._rows:
            raise ValueError("a writer with tiles cannot use a finished pixel file")
        for row in rows:
            self._check_row(row)
            self._rows.append(row)
        expected = self._stream.tell() + len(self._rows) * 3 * self._card.tile_px**2
        if pixels.stat().st_size != expected:
            raise DataError(f"{pixels}: {pixels.stat().st_size} bytes, but {len(self._rows)} tiles need {expected}")
        self._stream.close()
        own = self._partial / PIXELS_FILE
        own.unlink()
        try:
            own.hardlink_to(pixels)
        except OSError:
            pixels.replace(own)
        self._stream = own.open("r+b")

    def drop(self, reason: str, file: str | None = None, detail: str = "", *, times: int = 1) -> None:
        """Count something left out for `reason`, and list it by name if `file` is given."""
        self._dropped[reason] += times
        if file is not None and len(self._dropped_files) < _NAMES_KEPT:
            self._dropped_files.append(f"{file}: {reason}{f' ({detail})' if detail else ''}")

    def left_out(self) -> str:
        """Summarise what was left out so far, by reason."""
        return ", ".join(f"{count} {reason}" for reason, count in (+self._dropped).most_common()) or "nothing left out"

    def _check_row(self, row: TileRow) -> None:
        classes = self._card.classes
        if classes and row.class_name is None:
            raise DataError(f"{row.file}: has no class")
        if row.class_name is not None and row.class_name not in classes:
            raise DataError(f"{row.file}: class {row.class_name!r} is not one of {', '.join(classes) or 'none'}")
        if row.split is not None and row.split not in SPLITS:
            raise DataError(f"{row.file}: split {row.split!r} is not one of {', '.join(SPLITS)}")

    def _finish(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            return
        if not self._rows:
            raise DataError(f"{self._folder}: no tiles to write ({self.left_out()})")
        self._stream.seek(0)
        write_header(self._stream, len(self._rows), self._card.tile_px)
        write_rows(self._partial / TABLE_FILE, pd.DataFrame(self._rows, columns=list(COLUMNS)), self._split_record)
        left_out = {"dropped": dict(+self._dropped), "dropped_files": tuple(self._dropped_files)}
        origin = self._card.origin.model_copy(update=left_out)
        write_json(self._partial / CARD_FILE, self._card.model_copy(update={"origin": origin}).model_dump(mode="json"))
