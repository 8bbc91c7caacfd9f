"""Computes where Models look in the tiles of a TileSet, and compares this with an expert's outlines."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from hviskd.arrays import RGB, Bools, Floats32, Ints
from hviskd.attention.baselines import edge_map, random_map
from hviskd.attention.comparing import AttentionComparison, compare_attention
from hviskd.attention.expert import Outlines
from hviskd.attention.maps import attention_maps
from hviskd.attention.overlap import measure_tile
from hviskd.attention.resemblance import resemblance_table
from hviskd.attention.result import Attention, scaled_map
from hviskd.attention.settings import AttentionSettings
from hviskd.errors import DataError
from hviskd.models import AnyModels, InputStep, Model, load_models, pick_device
from hviskd.models.admission import cautions, require_fit
from hviskd.models.naming import model_names
from hviskd.progress import Progress, progress_bar
from hviskd.tiles import TileSet

CHANCE, EDGES = "random map", "edges"  # what stands beside the models
_BATCH = 32  # tiles in memory at a time
Look = Callable[[RGB, Ints], Floats32]  # tiles (B, H, W, 3) and labels (B,) → maps (B, h, w)


def attend(
    models: AnyModels,
    tileset: TileSet | Path | str,
    *,
    annotations: Path | str | None = None,
    split: str = "test",
    settings: AttentionSettings | None = None,
    device: str = "auto",
    allow_leak: bool = False,
    progress: Progress | None = None,
) -> Attention:
    """Compute attention maps, and compare them with an expert's outlines.

    Memory does not grow with the number of tiles, except for the measurements of each.

    Args:
        models: One or several Models, their folders, or finished Runs, whose selected Model is used; the first is
            the reference of the tests.
        tileset: The tiles; they must suit every model.
        annotations: Folder of the expert's outlines, as for `Outlines`; tiles without one are left out.
        split: Split of the tiles.
        settings: Settings of the maps and measures; by default those of `AttentionSettings`.
        device: "auto", "cpu", "cuda" or "mps".
        allow_leak: Continue if a model was trained on these tiles with another split; the notes say so.
        progress: Called with done, total and what is being done; a bar by default.

    Raises:
        DataError: There is no such class, there are no tiles, or an outline cannot be read.
        LeakError: A model was trained on these tiles with another split.
        ModelError: A model does not suit the tiles, or there is none.
        RecipeError: The kind of map does not suit a network.
    """
    settings, tileset, loaded = settings or AttentionSettings(), TileSet.open(tileset), load_models(models, last=False)
    for model in loaded:
        require_fit(model, tileset)
    names = model_names(loaded)
    rows, outlines, left_out = _tiles_of(tileset, split, settings.class_name), None, 0
    seen = cautions(loaded, names, tileset, split, allow_leak=allow_leak)
    if annotations is not None:
        outlines = Outlines(Path(annotations), tileset.tile_px)
        kept = outlines.drawn([str(file) for file in tileset.table["file"].iloc[rows]])
        rows, left_out = rows[kept], int((~kept).sum())
    looks = {name: look_of(model, tileset.classes, settings, device) for name, model in zip(names, loaded, strict=True)}
    unit, owner = tileset.clusters(rows)
    maps, measured = _look_at(tileset, rows, owner, looks, outlines, settings, progress)
    comparison = None if measured is None else compare_attention(measured, names[0])
    resemblance = resemblance_table(maps, owner) if len(maps) > 1 else None
    notes = _notes(maps, settings, len(rows), left_out)
    if comparison is not None:
        notes += _comparison_notes(comparison, settings, unit)
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


def look_of(model: Model, classes: Sequence[str], settings: AttentionSettings, device: str = "auto") -> Look:
    """Return the function that draws a Model's maps, for labels that are positions in `classes`, all of them its own.

    Raises, when it is called:
        RecipeError: The kind of map does not suit the network.
    """
    where = pick_device(device)
    network, step = model.network.to(where), InputStep(model.card.normalisation).to(where)
    own = torch.tensor([model.card.classes.index(name) for name in classes], device=where)

    def look(tiles: RGB, labels: Ints) -> Floats32:
        images = step(torch.from_numpy(tiles).to(where))
        classes = own[torch.from_numpy(labels).to(where)]
        maps = attention_maps(network, images, classes, kind=settings.kind, stage=settings.stage)
        drawn: Floats32 = maps.cpu().numpy()
        return drawn

    return look


def _look_at(
    tileset: TileSet,
    rows: Ints,
    owner: NDArray[np.str_],
    looks: dict[str, Look],
    outlines: Outlines | None,
    settings: AttentionSettings,
    progress: Progress | None,
) -> tuple[dict[str, Floats32], pd.DataFrame | None]:
    """Draw every map into a file, and with outlines measure it and both baselines, some tiles at a time."""
    maps: dict[str, Floats32] = {}
    measured: list[pd.DataFrame] = []
    files, labels = tileset.table["file"].iloc[rows], tileset.labels[rows]
    with progress_bar(f"{settings.kind} of {', '.join(looks)}", len(rows), progress) as advance:
        for start in range(0, len(rows), _BATCH):
            batch = slice(start, start + _BATCH)
            tiles = np.asarray(tileset.pixels[rows[batch]])
            for name, look in looks.items():
                drawn = look(tiles, labels[batch])
                if name not in maps:
                    maps[name] = _file_of(len(rows), *drawn.shape[1:])
                maps[name][batch] = drawn
            if outlines is not None:
                found: list[dict[str, Any]] = []
                for position, tile in enumerate(tiles, start):
                    outline = outlines.of(str(files.iloc[position]))
                    assert outline is not None  # tiles without one were left out
                    own = {name: drawn[position] for name, drawn in maps.items()}
                    whose = {"tile": int(rows[position]), "patient": owner[position]}
                    found += [
                        {"model": name, **whose, **numbers}
                        for name, numbers in _measure(tile, outline, own, settings, position)
                    ]
                measured.append(pd.DataFrame(found))
            advance(len(tiles))
    return maps, pd.concat(measured, ignore_index=True) if measured else None


def _measure(
    tile: RGB, outline: Bools, maps: dict[str, Floats32], settings: AttentionSettings, position: int
) -> Iterator[tuple[str, dict[str, float]]]:
    """Measure a tile's maps, and both baselines, against its outline."""
    side = len(tile)
    shown = {name: scaled_map(own, side) for name, own in maps.items()}
    shown[CHANCE] = random_map(side, np.random.default_rng((settings.seed, position)))
    shown[EDGES] = edge_map(tile)
    for name, one in shown.items():
        yield name, measure_tile(one, outline, area_share=settings.area_share, level=settings.level)


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


def _comparison_notes(comparison: AttentionComparison, settings: AttentionSettings, unit: str) -> list[str]:
    notes = [
        f"Dice at a fixed share: the hottest {settings.area_share:.0%} of the tile; at a fixed level: "
        f"{settings.level:g} times the maximum."
    ]
    if unit != "patient":
        notes.append(f"Patients are unknown: the tests treat every {unit} as a patient.")
    return [*notes, *comparison.notes]
