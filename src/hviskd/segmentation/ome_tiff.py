"""Writes a map as pyramidal OME-TIFF, one px per cell of its grid: classes in their colours, and probabilities.

QuPath, napari, ImageJ and whatever reads OME-TIFF open them; the px size they state is the step of the grid in µm, so
both lie on the slide from its upper left corner on.
"""

import uuid
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from hviskd.arrays import NO_CLASS_BYTE, Colour
from hviskd.segmentation.pyramid import TILE_PX, Pixels, halve_classes, halve_stored, pyramid_of
from hviskd.segmentation.slide_map import SlideMap
from hviskd.storage import atomic_file

_SCALE = 65_534  # a probability p is stored as 1 + 65,534 p; 0 means that there is no tile
_BIG_BYTES = 2**31
_REDUCED = 1  # TIFF's NewSubfileType of a smaller version of another image

_NAMESPACE = uuid.UUID("8a8b4e39-52e4-5c56-8b0f-70a3d1e29f0d")

Words = NDArray[np.uint16]


def write_ome_tiff(slide_map: SlideMap, path: Path) -> Path:
    """Write the class grid as an image with a palette: uint8, the index of the class in `classes`, 255 for no tile.

    In the smaller levels a px has the class that most of the four px under it have.
    """
    cells = slide_map.class_grid()
    if not cells.size:
        cells = np.full((1, 1), NO_CLASS_BYTE, np.uint8)  # a TIFF has at least one px
    palette = np.full((3, 256), 0xFFFF, np.uint16)
    palette[:, : len(slide_map.classes)] = np.array(slide_map.colours, np.uint16).T * 257  # 8 bits to 16
    legend = {str(position): _plain(name) for position, name in enumerate(slide_map.classes)}
    metadata: dict[str, object] = {
        "axes": "YX",
        "Name": "classes",
        "Description": f"Class of each cell; {NO_CLASS_BYTE} where there is no tile",
        "MapAnnotation": legend | {str(NO_CLASS_BYTE): "no tile"},
    }
    return _write(pyramid_of(cells, halve_classes), path, slide_map, metadata, palette)


def write_probability_tiff(slide_map: SlideMap, path: Path) -> Path:
    """Write the probability p of every class as a channel with its name: uint16, 1 + 65,534 p; 0 for no tile.

    In the smaller levels a px is the mean of those px under it that have a tile.
    """
    grid = slide_map.grid()
    missing = np.isnan(grid)
    stored = np.where(missing, 0, 1 + np.rint(_SCALE * np.where(missing, 0, grid))).astype(np.uint16)
    stored = np.moveaxis(stored, -1, 0)
    if not stored.size:
        stored = np.zeros((len(slide_map.classes), 1, 1), np.uint16)
    metadata: dict[str, object] = {
        "axes": "CYX",
        "Name": "probabilities",
        "Description": f"Class probability p as 1 + {_SCALE} p; 0 where there is no tile",
        "Channel": {
            "Name": [_plain(name) for name in slide_map.classes],
            "Color": [_channel_colour(colour) for colour in slide_map.colours],
        },
    }
    return _write(pyramid_of(stored, halve_stored), path, slide_map, metadata, None)


def _write(
    levels: list[Pixels],
    path: Path,
    slide_map: SlideMap,
    metadata: dict[str, object],
    palette: Words | None,
) -> Path:
    card = slide_map.card
    facts = f"{metadata['Name']} {card.slide_fingerprint} {card.model_fingerprint} {card.created}"
    sizes = {"PhysicalSizeX": slide_map.stride_um, "PhysicalSizeY": slide_map.stride_um}
    units = {"PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    ome = {**metadata, **sizes, **units, "UUID": uuid.uuid5(_NAMESPACE, facts).urn}
    kind = "minisblack" if palette is None else "palette"
    big = sum(level.nbytes for level in levels) > _BIG_BYTES
    with atomic_file(path) as partial, tifffile.TiffWriter(partial, ome=True, bigtiff=big) as tiff:
        for number, level in enumerate(levels):
            per_cm = 1e4 / (slide_map.stride_um * 2**number)
            tiff.write(
                level,
                tile=(TILE_PX, TILE_PX),
                photometric=kind,
                colormap=palette,
                compression="zlib",
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
                subifds=None if number else len(levels) - 1,
                subfiletype=_REDUCED if number else 0,
                metadata=None if number else ome,
            )
    return path


def _channel_colour(colour: Colour) -> int:
    """Return a class's hue at full brightness, since viewers add channels as light, in OME's signed 0xRRGGBBAA."""
    brightest = max(colour)
    bright = [round(part * 255 / brightest) for part in colour] if brightest else [255, 255, 255]
    return int.from_bytes(bytes([*bright, 255]), "big", signed=True)


def _plain(text: str) -> str:
    """Return text without characters that are invalid in XML."""
    return "".join(character if character.isprintable() else " " for character in text)
