"""Computes where Models look in the tiles of a TileSet, and compares this with an expert's outlines."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from hviskd.attention.baselines import edge_map, random_map
from hviskd.attention.comparing import AttentionComparison, compare_attention
from hviskd.attention.expert import read_outlines
from hviskd.attention.maps import MapKind, attention_maps, scaled_maps
from hviskd.attention.overlap import AREA_SHARE, LEVEL, measure_tile
from hviskd.errors import DataError, ModelError
from hviskd.models.admission import cautions, require_fit
from hviskd.models.device import pick_device
from hviskd.models.input_step import InputStep
from hviskd.models.naming import model_names
from hviskd.progress import progress_bar
from hviskd.tiles import TileSet

if TYPE_CHECKING:
    from hviskd.models import Model

CHANCE, EDGES = "random map", "edges"  # what stands beside the models


@dataclass(frozen=True, eq=False)
class Attention:
    """Maps of M models on the same N tiles, with the expert's outlines.

    Attributes:
        names: M names, safe in a file name; the first is the reference.
        maps: For each, float32 (N, h, w): as large as the stage's map, at least 0, not scaled.
        tile_px: Side of the tiles.
        files: File of each tile.
        classes: For which class each tile was looked at.
        tiles: The pixels, uint8 (N, tile_px, tile_px, 3).
        outlines: bool (N, tile_px, tile_px), or None without an expert.
        comparison: Of models and baselines against the outlines, or None.
        kind: Which map.
        stage: Of which stage; None for the one that the head reads.
        notes: What a reader must know before believing the maps or the numbers, a sentence or two each.
    """

    names: tuple[str, ...]
    maps: dict[str, NDArray[np.float32]]
    tile_px: int
    files: tuple[str, ...]
    classes: tuple[str, ...]
    tiles: NDArray[np.uint8]
    outlines: NDArray[np.bool_] | None
    comparison: AttentionComparison | None
    kind: MapKind
    stage: int | None
    notes: tuple[str, ...]

    def scaled(self, name: str, tile: int) -> NDArray[np.float32]:
        """Return one map enlarged to the tile, divided by its maximum: (tile_px, tile_px)."""
        return _scaled(self.maps[name][tile], self.tile_px)


def attend(
    models: "Sequence[Model]",
    tileset: TileSet,
    *,
    annotations: Path | None = None,
    class_name: str | None = None,
    split: str = "test",
    kind: MapKind = "grad-cam",
    stage: int | None = None,
    area_share: float = AREA_SHARE,
    level: float = LEVEL,
    seed: int = 0,
    batch_size: int = 32,
    device: str = "auto",
    allow_leak: bool = False,
) -> Attention:
    """Compute attention maps, and compare them with an expert's outlines.

    Args:
        models: At least one; the first is the reference of the tests.
        tileset: The tiles; every model must fit it.
        annotations: Folder of the expert's outlines, as `read_outlines` takes it; tiles without one are left out.
        class_name: Only tiles of this class, and attention for it; without, every tile for its own class.
        split: Which tiles.
        kind: `grad-cam`, `hires-cam` or `cam`.
        stage: See `attention_maps`.
        area_share: See `measure_tile`.
        level: Likewise.
        seed: Of the random map.
        batch_size: Tiles at a time.
        device: "auto", "cpu", "cuda" or "mps".
        allow_leak: Continue if a model was trained on these tiles with another split; the notes say so.

    Raises:
        DataError: There is no such class, no tile, or an outline cannot be read.
        LeakError: A model was trained on these tiles with another split.
        ModelError: A model does not fit the tiles, or there is none.
        RecipeError: The map does not suit a network.
    """
    if not models:
        raise ModelError("no model given; give at least one Model folder")
    if class_name is not None and class_name not in tileset.classes:
        raise DataError(f"`class={class_name}`: no such class; choose one of {', '.join(tileset.classes)}")
    for model in models:
        require_fit(model, tileset)
    names = model_names(models)
    rows = tileset.require_split(split)
    if class_name is not None:
        rows = rows[tileset.labels[rows] == tileset.classes.index(class_name)]
        if not len(rows):
            raise DataError(f"{tileset.folder}: no tiles of {class_name} in the {split} split")
    seen = cautions(models, names, tileset, split, allow_leak=allow_leak)
    outlines, left_out = None, 0
    if annotations is not None:
        read = read_outlines(annotations, [str(file) for file in tileset.table["file"].iloc[rows]], tileset.tile_px)
        kept = np.array([outline is not None and bool(outline.any()) for outline in read])
        if not kept.any():
            raise DataError(f"{annotations}: every outline is empty")
        left_out = int((~kept).sum())
        rows = rows[kept]
        outlines = np.stack([outline for outline, keep in zip(read, kept, strict=True) if keep and outline is not None])
    labels = tileset.labels[rows]
    tiles = np.asarray(tileset.pixels[rows])
    wanted = [tileset.classes[label] for label in labels]
    maps = {
        name: _maps_of(model, tiles, wanted, kind, stage, batch_size, device)
        for name, model in zip(names, models, strict=True)
    }
    notes = [f"{kind} at {'the last stage' if stage is None else f'stage {stage}'}, {len(rows)} tiles."]
    notes += [f"{left_out} tiles have no outline and are left out."] if left_out else []
    blind = {name: int((one.max(axis=(1, 2)) == 0).sum()) for name, one in maps.items()}
    notes += [
        f"{name}: no positive evidence for the class in {count} tiles (empty map)."
        for name, count in blind.items()
        if count
    ]
    unit, owner = tileset.clusters(rows)
    comparison = None
    if outlines is not None:
        table = _table(maps, tiles, outlines, rows, owner, (area_share, level), seed)
        comparison = compare_attention(table, names[0])
        notes.append(
            f"Dice at a fixed share: the hottest {area_share:.0%} of the tile; at a fixed level: {level:g} times the "
            "maximum."
        )
        if unit != "patient":
            notes.append(f"Patients are unknown: the tests treat every {unit} as a patient.")
        notes += comparison.notes
    files = tuple(str(file) for file in tileset.table["file"].iloc[rows])
    return Attention(
        tuple(names), maps, tileset.tile_px, files, tuple(wanted), tiles, outlines, comparison, kind, stage,
        (*notes, *seen),
    )  # fmt: skip


def _maps_of(
    model: "Model",
    tiles: NDArray[np.uint8],
    wanted: Sequence[str],
    kind: MapKind,
    stage: int | None,
    batch_size: int,
    device: str,
) -> NDArray[np.float32]:
    where = pick_device(device)
    network, step = model.network.to(where), InputStep(model.card.normalisation).to(where)
    classes = torch.tensor([model.card.classes.index(name) for name in wanted], device=where)
    chunks = []
    with progress_bar(f"{kind} of {model.card.name}", len(tiles)) as advance:
        for start in range(0, len(tiles), batch_size):
            batch = torch.from_numpy(tiles[start : start + batch_size]).to(where)
            maps = attention_maps(network, step(batch), classes[start : start + batch_size], kind=kind, stage=stage)
            chunks.append(maps.cpu().numpy())
            advance(len(batch))
    return np.concatenate(chunks).astype(np.float32)


def _table(
    maps: dict[str, NDArray[np.float32]],
    tiles: NDArray[np.uint8],
    outlines: NDArray[np.bool_],
    rows: NDArray[np.int64],
    owner: NDArray[np.str_],
    rules: tuple[float, float],
    seed: int,
) -> pd.DataFrame:
    """Measure every map and both baselines on every tile."""
    tile_px = tiles.shape[1]
    measured = []
    for position, (tile, outline) in enumerate(zip(tiles, outlines, strict=True)):
        drawn = {name: _scaled(own[position], tile_px) for name, own in maps.items()}
        drawn[CHANCE] = random_map(tile_px, np.random.default_rng((seed, position)))
        drawn[EDGES] = edge_map(tile)
        for name, one in drawn.items():
            numbers = measure_tile(one, outline, area_share=rules[0], level=rules[1])
            measured.append({"model": name, "tile": int(rows[position]), "patient": owner[position], **numbers})
    return pd.DataFrame(measured)


def _scaled(values: NDArray[np.float32], tile_px: int) -> NDArray[np.float32]:
    return scaled_maps(torch.from_numpy(values)[None], tile_px)[0].numpy()
