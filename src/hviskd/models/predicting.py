"""Classifies pictures or tiles without labels, and writes the probability of every class to a file."""

import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hviskd.arrays import RGB
from hviskd.errors import DataError, ModelError
from hviskd.models.admission import require_tile_px, strangeness
from hviskd.models.compute import Compute
from hviskd.models.finding import AnyModel, load_model
from hviskd.models.prediction import classify, predictor, tiles_per_call
from hviskd.models.prediction_file import PredictionFile, open_prediction_file, require_writable
from hviskd.progress import Advance, Progress, progress_bar
from hviskd.threads import in_threads
from hviskd.tiles import TileSet
from hviskd.tiles.card import CARD_FILE
from hviskd.tiles.class_folders import name_below, pictures_below
from hviskd.tiles.decoding import LeftOut, picture_size, read_tile
from hviskd.tiles.fitting import Fit
from hviskd.version import NOTICE

if TYPE_CHECKING:
    import pandas as pd

    from hviskd.models.card import ModelCard
    from hviskd.models.model import Model

_AHEAD = 4  # decoded pictures waiting, per thread

Source = tuple[object, ...]  # what a row is of: the values of the columns of its kind
Item = tuple[Source, RGB | LeftOut]


@dataclass(frozen=True)
class Predictions:
    """What was classified, and where the probabilities are.

    Attributes:
        file: The Parquet or CSV file.
        counts: Number of pictures or tiles by their most probable class, for every class of the Model.
        unsure: How many of them are below the Model's threshold; None if it has none.
        left_out: The pictures that could not be classified, by file, and why.
        notes: In what they may differ from the tiles that the Model was trained on.
    """

    file: Path
    counts: dict[str, int]
    unsure: int | None
    left_out: dict[str, LeftOut]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return sum(self.counts.values())

    def to_dataframe(self) -> "pd.DataFrame":
        """Read the file."""
        import pandas as pd

        if self.file.suffix.lower() == ".parquet":
            return pd.read_parquet(self.file)
        # A class may be called 1 or NA; only what is empty is unknown.
        text = dict.fromkeys(("file", "patient", "slide", "class"), str)
        return pd.read_csv(self.file, dtype=text, keep_default_na=False, na_values=[""])

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        unsure = "" if self.unsure is None else f"{self.unsure:,} unsure"
        left_out = f"{len(self.left_out):,} left out" if self.left_out else ""
        rows = [(name, f"{count:,}") for name, count in self.counts.items()]
        return show.paragraph(f"{len(self):,} classified, in {self.file}", unsure, left_out) + show.table(
            ("class", "number"), rows
        )


def predict(
    model: AnyModel,
    pictures: TileSet | Path | str,
    output: Path | str,
    *,
    split: str | None = None,
    resize: bool = False,
    compute: Compute | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Predictions:
    """Write a Model's class probabilities of pictures or tiles to a file; labels are neither needed nor read.

    The file has a row per picture: `file` (with `row`, and patient and slide where they are known, of a TileSet),
    `probability_NAME` of each class, `class`, `confidence` and, if the Model has a threshold, `unsure`. It is written
    batch by batch: of all pictures together, only the paths are in memory.

    Args:
        model: The Model.
        pictures: A folder with JPEG, PNG, TIFF and WebP images at any depth, or a TileSet.
        output: The file, `.parquet` or `.csv`.
        split: Of a TileSet, the split to classify; by default all tiles.
        resize: Resample the largest centred square of each image to the size that the Model reads; else images of
            another size are left out.
        compute: How the Model runs; by default with torch in float32.
        overwrite: Replace an existing file.
        progress: Called with done, total and what is being done; a bar by default.

    Raises:
        DataError: There are no pictures, or none can be used; or `output` exists or is of another kind.
        ModelError: The TileSet's tiles have another size than the Model reads; or its outputs contain NaN or infinity.
        OutputError: The file cannot be written to.
    """
    output, loaded, compute = Path(output), load_model(model), compute or Compute()
    require_writable(output, overwrite=overwrite)
    if compute.precision == "int8" and loaded.card.int8 is None:
        raise ModelError(f"{loaded.folder}: has no int8 variant; make one with `quantize()`")
    work: _Tiles | _Pictures
    if isinstance(pictures, TileSet) or (Path(pictures) / CARD_FILE).is_file():
        if resize:
            raise DataError("`resize=True`: is for folders of images; a TileSet is imported or cut at the model's size")
        work = _Tiles(loaded, TileSet.open(pictures), split)
    else:
        if split is not None:
            raise DataError(f"`split={split!r}`: a folder of images has no splits; only a TileSet has")
        work = _Pictures(loaded.card, Path(pictures), compute.readers, resize=resize)
    threshold = loaded.card.calibration.unsure_below if loaded.card.calibration else None
    record = {"model": loaded.card.name, "weights_sha256": loaded.fingerprint, "unsure_below": threshold}
    found = _Findings(loaded, compute, threshold)
    with (
        open_prediction_file(output, work.columns, loaded.card.classes, threshold, record | {"notice": NOTICE}) as file,
        progress_bar(f"classify with {loaded.card.name}", work.total, progress) as advance,
    ):
        found.take(work.items(), file, advance)
        if not any(found.counts.values()):
            name, why = next(iter(found.left_out.items()))
            advice = "; pass `resize=True`" if why.reason.startswith("not ") else ""
            raise DataError(f"{pictures}: none of its {work.total:,} images can be used ({name}: {said(why)}){advice}")
    return Predictions(
        file=output,
        counts={name: found.counts[name] for name in loaded.card.classes},
        unsure=None if threshold is None else found.unsure,
        left_out=found.left_out,
        notes=tuple(work.notes),
    )


def said(why: LeftOut) -> str:
    """Return why a picture was left out, with its detail."""
    return f"{why.reason} ({why.detail})" if why.detail else why.reason


class _Findings:
    """Classifies what comes, batch by batch, and counts it."""

    def __init__(self, model: "Model", compute: Compute, threshold: float | None) -> None:
        self.counts: Counter[str] = Counter()
        self.unsure = 0
        self.left_out: dict[str, LeftOut] = {}
        self._model, self._threshold = model, threshold or 0.0
        self._predict = predictor(model, compute)
        self._count = tiles_per_call(self._predict, compute)

    def take(self, items: Iterator[Item], file: PredictionFile, advance: Advance) -> None:
        """Classify everything, and add it to the file."""
        sources: list[Source] = []
        tiles: list[RGB] = []
        for source, tile in items:
            if isinstance(tile, LeftOut):
                self.left_out[str(source[0])] = tile
                advance()
                continue
            sources.append(source)
            tiles.append(tile)
            if len(tiles) == self._count:
                self._classify(sources, tiles, file)
                advance(len(tiles))
                sources, tiles = [], []
        if tiles:
            self._classify(sources, tiles, file)
            advance(len(tiles))

    def _classify(self, sources: list[Source], tiles: list[RGB], file: PredictionFile) -> None:
        classes = self._model.card.classes
        probabilities = classify(self._model, classes, np.stack(tiles), self._predict)
        self.counts.update(classes[label] for label in probabilities.argmax(axis=1))
        self.unsure += int((probabilities.max(axis=1) < self._threshold).sum())
        file.add(sources, probabilities)


class _Tiles:
    """The tiles of a TileSet, or of one of its splits."""

    def __init__(self, model: "Model", tileset: TileSet, split: str | None) -> None:
        require_tile_px(model.card, tileset, str(model.folder))
        self._tileset, self._rows = tileset, tileset.rows(split)
        if not len(self._rows):
            raise DataError(f"{tileset.folder}: no tiles in the {split} split; split them with `split_tiles()`")
        self.total = len(self._rows)
        self.notes = strangeness(model, tileset)
        known = [name for name in ("patient", "slide") if tileset.table[name].notna().any()]
        self.columns = ("row", "file", *known)

    def items(self) -> Iterator[Item]:
        """Yield each tile."""
        table = self._tileset.table[list(self.columns[1:])].astype(object)
        values = table.where(table.notna(), None).to_numpy()
        for row in self._rows:
            yield (int(row), *values[row]), self._tileset.pixels[row]


class _Pictures:
    """The images in a folder, decoded in threads."""

    columns = ("file",)

    def __init__(self, card: "ModelCard", folder: Path, threads: int, *, resize: bool) -> None:
        if not folder.is_dir():
            raise DataError(f"{folder}: {'a file' if folder.exists() else 'no such folder'}; name a folder of images")
        self._folder, self._threads = folder, threads
        self._fit = Fit(card.tile_px, None, resize=resize, exact=not resize)
        self._paths, others = pictures_below(folder)
        if not self._paths:
            raise DataError(f"{folder}: contains no JPEG, PNG, TIFF or WebP images")
        self.total = len(self._paths)
        self.notes = [f"{others:,} files that are not JPEG, PNG, TIFF or WebP were skipped"] if others else []
        if card.mpp is not None:
            self.notes.append(f"trained at {card.mpp:g} µm/px; images do not tell theirs, so make sure that it is that")
        if card.stain is not None:
            self.notes.append("trained on tiles of normalised stain, but images are read as they are")

    def items(self) -> Iterator[Item]:
        """Yield each image, in the order of their names, as a tile or why it cannot be one."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"PIL\.")  # what is wrong with a file is told, not printed
            ahead = _AHEAD * self._threads
            tiles = in_threads(self._read, self._paths, threads=self._threads, ahead=ahead)
            for path, tile in zip(self._paths, tiles, strict=True):
                yield (name_below(self._folder, path),), tile

    def _read(self, path: Path) -> RGB | LeftOut:
        size = picture_size(path)
        if isinstance(size, LeftOut):
            return size
        misfit = self._fit.misfit(size)
        if misfit:
            return LeftOut(misfit, f"{size[0]} × {size[1]} px")
        return read_tile(path, size=size, square=self._fit.square(size), tile_px=self._fit.tile_px)
