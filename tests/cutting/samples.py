"""Small annotated slides for the tests of cutting: real SVS files, and masks whose classes a test can compute."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.slides.make import glass, stained, write_svs

LEGEND = """
name: sample
classes:
  - {name: red, colours: [[200, 0, 0]]}
  - {name: green, colours: [[0, 160, 0]]}
  - {name: BG, colours: [[255, 255, 255]]}
"""
COLOURS = np.array([(200, 0, 0), (0, 160, 0), (255, 255, 255), (120, 60, 250)], np.uint8)
RED, GREEN, BG, UNKNOWN = range(4)


def write_legend(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "legend.yaml"
    path.write_text(LEGEND)
    return path


def tissue_slide(width_px: int, height_px: int, seed: int = 0, glass_px: int = 0) -> np.ndarray:
    """Stained tissue; its first `glass_px` columns are empty glass."""
    image = stained((height_px, width_px), 0.9, 0.7, seed)
    image[:, :glass_px] = glass((height_px, glass_px), seed)
    return image


def write_mask(path: Path, classes: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(COLOURS[classes]).save(path)
    return path


def add_slide(folder: Path, name: str, classes: np.ndarray, seed: int = 0, **svs: object) -> np.ndarray:
    """Write `folder/NAME.svs` and `folder/masks/NAME_L.png`; gives the slide's pixels, written without loss."""
    glass_px = int((classes == BG).all(axis=0).sum())
    image = tissue_slide(classes.shape[1], classes.shape[0], seed, glass_px)
    write_svs(folder / f"{name}.svs", image, **{"quality": None, "levels": 2, "factor": 4, **svs})
    write_mask(folder / "masks" / f"{name}_L.png", classes)
    return image


def halves(width_px: int = 640, height_px: int = 384, border_px: int = 320) -> np.ndarray:
    """Red left of the border, green right of it."""
    classes = np.full((height_px, width_px), RED)
    classes[:, border_px:] = GREEN
    return classes
