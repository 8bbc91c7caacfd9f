"""Computes where Models look in the tiles of a TileSet, and compares this with an expert's outlines."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pandas as pd

from hviskd.arrays import Floats32, Ints
from hviskd.attention.comparing import AttentionComparison, compare_attention
from hviskd.attention.expert import Outlines
from hviskd.attention.looking import Looked, LookingJob, Piece
from hviskd.attention.resemblance import resemblance_table
from hviskd.attention.result import Attention
from hviskd.attention.settings import AttentionSettings
from hviskd.errors import DataError
from hviskd.models import AnyModels, load_models
from hviskd.models.admission import cautions, require_fit
from hviskd.models.naming import model_names
from hviskd.progress import Progress
from hviskd.running import Dask, Here
from hviskd.tiles import TileSet

_BATCH = 32  # tiles in memory at a time


def attend(
    models: AnyModels,
    tileset: TileSet | Path | str,
    *,
    annotations: Path | str | None = None,
    settings: AttentionSettings | None = None,
    device: str = "auto",
    allow_leak: bool = False,
    running: Here | Dask | None = None,
    progress: Progress | None = None,
) -> Attention:
    """Compute attention maps, and compare them with an expert's outlines.

    Memory does not grow with the number of tiles, except for the measurements of each.

    Args:
        models: One or several Models, their folders, or finished Runs, whose selected Model is used; the first is
            the reference of the tests.
        tileset: The tiles; they must suit every model.
        annotations: Folder of the expert's outlines, of tiles or of the slides they were cut from, as for `Outlines`;
            tiles in which nothing is outlined are left out.
        settings: Which tiles, settings of the maps and measures; by default those of `AttentionSettings`.
        device: "auto", "cpu", "cuda" or "mps".
        allow_leak: Continue if a model was trained on these tiles with another split; the notes say so.
        running: Where to do it; by default in this process, or `Dask("local:4")` for workers of a cluster.
        progress: Called with done, total and what is being done; a bar by default.

    Raises:
        DataError: There is no such class, there are no tiles, or an outline cannot be read.
        LeakError: A model was trained on these tiles with another split.
        ModelError: A model does not suit the tiles, or there is none.
        RecipeError: The kind of map does not suit a network.
        RunningError: A cluster or one of its workers cannot do the work.
    """
    settings, tileset, loaded = settings or AttentionSettings(), TileSet.open(tileset), load_models(models, last=False)
    for model in loaded:
        require_fit(model, tileset)
    names = model_names(loaded)
    rows, outlines, left_out = _tiles_of(tileset, settings.split, settings.class_name), None, 0
    seen = cautions(loaded, names, tileset, settings.split, allow_leak=allow_leak)
    if annotations is not None:
        outlines = Outlines(Path(annotations), tileset, settings.legend)
        kept = outlines.drawn(rows.tolist())
        rows, left_out = rows[kept], int((~kept).sum())
    job = LookingJob(dict(zip(names, loaded, strict=True)), tileset, outlines, settings, device)
    unit, owner = tileset.clusters(rows)
    pieces = [
        Piece(start, rows[start : start + _BATCH], owner[start : start + _BATCH])
        for start in range(0, len(rows), _BATCH)
    ]
    maps, measured = _look_at(job, pieces, running or Here(), progress)
    comparison = None if measured is None else compare_attention(measured, names[0])
    resemblance = resemblance_table(maps, owner) if len(maps) > 1 else None
    notes = _notes(maps, settings, len(rows), left_out)
    if comparison is not None and outlines is not None:
        notes += _comparison_notes(comparison, settings, unit, outlines)
    wanted = tuple(tileset.classes[label] for label in tileset.labels[rows])
    notes = [*notes, *seen]
    return Attention(
        tuple(names), maps, tileset, rows, wanted, outlines, comparison, resemblance, settings, tuple(notes)
    )


def _tiles_of(tileset: TileSet, split: str, class_name: str | None) -> Ints:
    """Return the rows of the tiles to explain."""
    rows = tileset.require_split(split)
    if class_name is None:
        return rows
    if class_name not in tileset.classes:
        raise DataError(f"`class_name={class_name!r}`: no such class; choose one of {', '.join(tileset.classes)}")
    rows = rows[tileset.labels[rows] == tileset.classes.index(class_name)]
    if not len(rows):
        raise DataError(f"{tileset.folder}: no tiles of {class_name} in the {split} split")
    return rows


def _look_at(
    job: LookingJob, pieces: Sequence[Piece], running: Here | Dask, progress: Progress | None
) -> tuple[dict[str, Floats32], pd.DataFrame | None]:
    """Draw every map into a file, and with outlines measure it and both baselines, some tiles at a time."""
    count = sum(len(piece.rows) for piece in pieces)
    maps: dict[str, Floats32] = {}
    measured: dict[int, pd.DataFrame] = {}

    def take(looked: Looked) -> None:
        """Keep a piece's maps in the files; they are not held in memory until all are there."""
        start = looked.piece.start
        for name in job.models:
            drawn = looked.maps.pop(name)
            if name not in maps:
                maps[name] = _file_of(count, *drawn.shape[1:])
            maps[name][start : start + len(drawn)] = drawn
        if looked.measured is not None:
            measured[start] = looked.measured
        if running.report is not None:
            running.report(looked)

    replace(running, report=take).run(job.for_workers() if running.remote else job, pieces, progress)
    return maps, pd.concat([measured[piece.start] for piece in pieces], ignore_index=True) if measured else None


def _file_of(*shape: int) -> Floats32:
    """Return an array that lies in a file without a name, which goes with the array."""
    with TemporaryFile() as file:
        return np.memmap(file, np.float32, "w+", shape=shape)


def _notes(maps: dict[str, Floats32], settings: AttentionSettings, tiles: int, left_out: int) -> list[str]:
    place = "the last stage" if settings.stage is None else f"stage {settings.stage}"
    notes = [f"{settings.kind} at {place}, {tiles} tiles."]
    notes += [f"{left_out} tiles have no outline and are left out."] if left_out else []
    blind = {name: sum(not one.any() for one in own) for name, own in maps.items()}
    notes += [
        f"{name}: no positive evidence for the class in {count} tiles (empty map)."
        for name, count in blind.items()
        if count
    ]
    return notes


def _comparison_notes(
    comparison: AttentionComparison, settings: AttentionSettings, unit: str, outlines: Outlines
) -> list[str]:
    notes = [
        f"Dice at a fixed share: the hottest {settings.area_share:.0%} of the tile; at a fixed level: "
        f"{settings.level:g} times the maximum."
    ]
    if settings.legend is not None:
        notes.append(f"Inside is what is outlined as the tile's class, by the legend {settings.legend.name}.")
    if lost := len(outlines.slides.without_slide):
        notes.append(
            f"Slides not where they were cut from: {lost}. Their outlines are taken to count from their corner."
        )
    if unit != "patient":
        notes.append(f"Patients are unknown: the tests treat every {unit} as a patient.")
    return [*notes, *comparison.notes]
