"""Writes a map as QuPath objects: merged regions as annotations, tiles with their probabilities as measurements.

Coordinates are px of the full image, whose corner QuPath sets where the scanned part begins. A file is written object
by object, so a million tiles take no more memory than some thousands.
"""

import json
import uuid
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hviskd.annotations.qupath import classification, compact_json, write_features
from hviskd.annotations.tracing import trace
from hviskd.arrays import NO_CLASS, Ints
from hviskd.errors import DataError
from hviskd.segmentation.certainty import Labels, check_share, label_map
from hviskd.segmentation.regions import rings_px
from hviskd.segmentation.slide_map import SlideMap

_NAMESPACE = uuid.UUID("0d0f3b1e-77f5-5b7c-8a38-1f6f6f0c2b54")
_AT_ONCE = 2000
_DECIMALS = 4
_BORDERS_AT_ONCE = 100_000  # sides of cells; a map of noise has more and is outlined in parts


def write_geojson(
    slide_map: SlideMap,
    path: Path | str,
    *,
    tiles: bool = True,
    regions: bool = True,
    min_probability: float = 0.0,
    unsure_below: float | None = None,
) -> Path:
    """Write a file for QuPath; the same map gives the same bytes, including ids.

    Args:
        slide_map: A map.
        path: Where to write.
        tiles: Write every tile as a `tile`, with `prob_CLASS` and `entropy_bits` as measurements,
            and `looked_closely`, 0 or 1, after a first pass at low power.
        regions: Write each class as one locked `annotation` along the borders of the class grid, with `area_mm2` and
            `mean_prob` (of the class; of the most probable one where unsure).
        min_probability: What is less probable, tile or cell, is left out.
        unsure_below: What is less probable is classed 'unsure' instead; the map's own threshold if not given.

    Returns:
        The path.

    Raises:
        DataError: The step of the grid is less than a px, so tiles have no whole coordinates.
        ValueError: `min_probability` or `unsure_below` is not between 0 and 1.
    """
    check_share(min_probability, "min_probability")
    if slide_map.stride0_px < 1:
        raise DataError(
            f"{path}: tiles with a step of {slide_map.stride0_px:.3g} px have no integer coordinates in QuPath"
        )
    labels = label_map(slide_map, unsure_below)
    kinds = []
    if regions:
        kinds.append(_regions(slide_map, labels, min_probability))
    if tiles:
        kinds.append(_tiles(slide_map, labels, min_probability))
    return write_features(chain(*kinds), Path(path))


def _tiles(slide_map: SlideMap, labels: Labels, min_probability: float) -> Iterator[str]:
    """Yield the tiles as JSON, prepared in batches."""
    identity, place = _identity(slide_map), slide_map.card.frame().outlines()
    classes = [
        compact_json(classification(name, colour)) for name, colour in zip(labels.names, labels.colours, strict=True)
    ]
    keys = [compact_json(f"prob_{name}") for name in slide_map.classes]
    entropies = slide_map.entropy.round(_DECIMALS)
    kept = np.flatnonzero(slide_map.probabilities.max(axis=1) >= min_probability)
    for first in range(0, len(kept), _AT_ONCE):
        chosen = kept[first : first + _AT_ONCE]
        row, column = slide_map.row[chosen].astype(np.int64), slide_map.column[chosen].astype(np.int64)
        ends = zip(_span_px(slide_map, column), _span_px(slide_map, row), strict=True)
        edges = np.concatenate([place.from_level0(np.stack(end, axis=1)) for end in ends], axis=1).astype(np.int64)
        probabilities = slide_map.probabilities[chosen].astype(np.float64).round(_DECIMALS)
        columns = (row, column, edges, probabilities, entropies[chosen], labels.of_tiles[chosen])
        parts = (*(part.tolist() for part in columns), _closely(slide_map, chosen))
        for r, c, (x0, y0, x1, y1), shares, entropy, label, more in zip(*parts, strict=True):
            measured = ",".join(f"{key}:{share}" for key, share in zip(keys, shares, strict=True))
            yield (
                f'{{"type":"Feature","id":"{uuid.uuid5(identity, f"tile {r} {c}")}","geometry":{{"type":"Polygon",'
                f'"coordinates":[[[{x0},{y0}],[{x1},{y0}],[{x1},{y1}],[{x0},{y1}],[{x0},{y0}]]]}},"properties":'
                f'{{"objectType":"tile","isLocked":true,"classification":{classes[label]},'
                f'"measurements":{{{measured},"entropy_bits":{entropy}{more}}}}}}}'
            )


def _closely(slide_map: SlideMap, chosen: Ints) -> list[str]:
    """Return the JSON that tells of each chosen tile whether it was looked at closely; empty without a first pass."""
    if slide_map.looked_closely is None:
        return [""] * len(chosen)
    return [f',"looked_closely":{int(closely)}' for closely in slide_map.looked_closely[chosen].tolist()]


def _span_px(slide_map: SlideMap, steps: Ints) -> tuple[Ints, Ints]:
    """Return where tiles begin and end, rounded the same way, so that neighbours touch."""
    reach = slide_map.card.tile_px / slide_map.card.stride_px
    ends = np.floor((steps + reach) * slide_map.stride0_px + 0.5).astype(np.int64)
    return slide_map.tile_grid.starts_px(steps), ends


def _regions(slide_map: SlideMap, labels: Labels, min_probability: float) -> Iterator[str]:
    """Yield the area of each label as JSON."""
    identity, place = _identity(slide_map), slide_map.card.frame().outlines()
    grid = slide_map.grid()
    best = grid.max(axis=-1)
    cells = np.where(best >= min_probability, labels.of_cells, NO_CLASS)
    for label, (name, colour) in enumerate(zip(labels.names, labels.colours, strict=True)):
        probabilities = grid[..., label] if label < len(slide_map.classes) else best
        for first, part in _parts(cells == label):
            polygons = [rings_px(polygon, slide_map, first) for polygon in trace(part)]
            coordinates = [
                [place.from_level0(ring).astype(np.int64).tolist() for ring in polygon] for polygon in polygons
            ]
            geometry = {"type": "Polygon", "coordinates": coordinates[0]}
            if len(coordinates) > 1:
                geometry = {"type": "MultiPolygon", "coordinates": coordinates}
            area_mm2 = np.count_nonzero(part) * slide_map.stride_um**2 / 1e6
            mean = probabilities[first : first + len(part)][part].mean(dtype=np.float64)
            measured = {"area_mm2": round(area_mm2, 6), "mean_prob": round(float(mean), _DECIMALS)}
            properties = {
                "objectType": "annotation",
                "isLocked": True,
                "classification": classification(name, colour),
                "measurements": measured,
            }
            region = str(uuid.uuid5(identity, f"region {first} {name}"))
            yield compact_json({"type": "Feature", "id": region, "geometry": geometry, "properties": properties})


def _parts(inside: NDArray[np.bool_], first: int = 0) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Return a mask, with its first row, in bands whose borders can be traced quickly; nothing if it is empty."""
    borders = sum(int(np.count_nonzero(np.diff(np.pad(inside, 1), axis=axis))) for axis in (0, 1))
    if borders > _BORDERS_AT_ONCE and len(inside) > 1:
        half = len(inside) // 2
        yield from _parts(inside[:half], first)
        yield from _parts(inside[half:], first + half)
    elif borders:
        yield first, inside


def _identity(slide_map: SlideMap) -> uuid.UUID:
    """Return the namespace of a map's object ids: slide, Model and settings, but not the time."""
    card = slide_map.card
    facts = [card.slide_fingerprint, card.model_fingerprint, card.tile_px, card.mpp, card.stride_px, card.stain]
    facts += [card.icc] if card.icc else []
    facts += [card.first_pass.unsure_below] if card.first_pass else []
    return uuid.uuid5(_NAMESPACE, json.dumps(facts))
