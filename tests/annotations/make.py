"""Small annotation files and shapes for the tests of this room, and an independent rasteriser to compare with."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import shapely
from PIL import Image

from hviskd.annotations import Region
from hviskd.annotations.pixels import MaskPixels
from tests.data import DATA, REAL, present

FIELDS = present([DATA / "nuclei.geojson", *sorted((REAL / "annotations").glob("gbm_*.geojson"))[::3]])


def blob(rng, *, centre, radius, points=30, hole=False) -> shapely.Polygon:
    """Give a star-shaped polygon of uneven radius, with an uneven hole on request."""
    angle = np.sort(rng.random(points)) * 2 * np.pi
    direction = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    shell = np.array(centre) + radius * rng.uniform(0.6, 1.2, (points, 1)) * direction
    holes = [np.array(centre) + radius * rng.uniform(0.2, 0.5, (points, 1)) * direction] if hole else []
    polygon = shapely.make_valid(shapely.Polygon(shell, holes), method="structure", keep_collapsed=False)
    return max(shapely.get_parts(polygon).tolist(), key=lambda part: part.area)


def blobs(count, *, seed=0, extent=200, labels="abc") -> list[Region]:
    rng = np.random.default_rng(seed)
    return [
        Region(
            labels[k % len(labels)],
            blob(rng, centre=rng.uniform(0, extent, 2), radius=rng.uniform(2, extent / 5), hole=k % 3 == 0),
        )
        for k in range(count)
    ]


def by_shapely(annotation, x_px, y_px, rows, columns, px_per_cell) -> np.ndarray:
    """Rasterise by asking shapely of every cell centre, polygon by polygon, later over earlier."""
    x = x_px + (np.arange(columns) + 0.5) * px_per_cell
    y = y_px + (np.arange(rows) + 0.5) * px_per_cell
    image = np.full((rows, columns), -1)
    for region in annotation.regions:
        left, top, right, bottom = region.geometry.bounds
        near = np.ix_((y >= top) & (y <= bottom), (x >= left) & (x <= right))
        shapely.prepare(region.geometry)
        inside = shapely.contains_xy(region.geometry, *np.meshgrid(x[near[1][0]], y[near[0][:, 0]]))
        image[near] = np.where(inside, annotation.classes.index(region.label), image[near])
    return image


def labelme(shapes, *, size=(100, 80), **more) -> dict:
    document = {"version": "5.4.1", "flags": {}, "imagePath": "a\\b.png", "imageData": None}
    return document | {"imageWidth": size[0], "imageHeight": size[1], "shapes": shapes} | more


def mask_shape(inside: np.ndarray, *, left=0, top=0, label="m") -> dict:
    """Give a Labelme mask shape: corner pixels of the box, and a one-bit PNG."""
    stream = io.BytesIO()
    Image.fromarray(inside).save(stream, "PNG")
    height, width = inside.shape
    return {
        "label": label,
        "points": [[left, top], [left + width - 1, top + height - 1]],
        "shape_type": "mask",
        "mask": base64.b64encode(stream.getvalue()).decode(),
    }


def feature(rings, *, kind="Polygon", **properties) -> dict:
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": rings}, "properties": properties}


SQUARE = [[10, 10], [30, 10], [30, 30], [10, 30], [10, 10]]


def save(path: Path, document) -> Path:
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def read_codes(path: Path) -> np.ndarray:
    """Give the colour codes of a whole mask, (height, width)."""
    mask = MaskPixels(path)
    whole = np.full(mask.size[::-1], -1)
    for row, column, codes in mask.blocks():
        whole[row : row + codes.shape[0], column : column + codes.shape[1]] = codes
    return whole


def codes_of(rgb: np.ndarray) -> np.ndarray:
    """Give the colour codes of RGB pixels (…, 3)."""
    red, green, blue = np.moveaxis(rgb.astype(np.int64), -1, 0)
    return (red << 16) + (green << 8) + blue
