"""Small real Models and slides for the tests of maps."""

from pathlib import Path

import numpy as np
import torch

from hviskd.models import Model, ModelCard, NetworkChoice, save_model
from hviskd.models.card import untrained_card
from hviskd.networks import create_network
from hviskd.segmentation import MapCard, SlideMap
from tests.conftest import STRIDE
from tests.slides.make import drawn_once, glass, stained, write_svs

CLASSES = ("normal", "rim", "tumour")
COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115))
TILE_PX = 64


def write_model(folder: Path, *, seed: int = 0, mpp: float | None = 0.5, **facts: object) -> Model:
    """Write a resnet8 with random weights, whose classes are made as unlike as those of a trained one."""
    torch.manual_seed(seed)
    network = create_network("resnet8", len(CLASSES), arguments=STRIDE)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.startswith("head") and weight.ndim == 2:
                weight -= weight.mean(dim=0)
                weight *= 200
    card = untrained_card(NetworkChoice(name="resnet8", arguments=STRIDE), CLASSES, TILE_PX, mpp)
    content = {**dict(card), "name": folder.name, "colours": COLOURS}
    return save_model(network, ModelCard.model_validate(content | facts), folder, overwrite=True)


@drawn_once
def tissue_on_glass(width_px: int = 1000, height_px: int = 700, *, glass_px: int = 300, seed: int = 0) -> np.ndarray:
    """Draw tissue that grows richer from left to right, right of some glass."""
    image = glass((height_px, width_px), seed)
    third = (width_px - glass_px) // 3
    for place, amount in enumerate((0.5, 0.9, 1.5)):
        left = glass_px + place * third
        image[:, left:] = stained((height_px, width_px - left), amount, 0.7, seed + place)
    return image


def write_slide(path: Path, image: np.ndarray | None = None, *, mpp: float = 0.5, **svs: object) -> Path:
    """Write an SVS without loss; of tissue on glass if no image is given."""
    return write_svs(path, tissue_on_glass() if image is None else image, mpp=mpp, **{"quality": None, **svs})


def write_cohort(folder: Path, names: str) -> list[Path]:
    """Write slides of falling size, a letter a name; the last is cut off in the middle."""
    paths = [
        write_slide(folder / f"{name}.svs", tissue_on_glass(800 - 100 * seed, 400, seed=seed))
        for seed, name in enumerate(names)
    ]
    content = paths[-1].read_bytes()
    paths[-1].write_bytes(content[: len(content) // 2])
    return paths


def map_card(**facts: object) -> MapCard:
    """Give the card of a map of a slide of 640 × 448 px at 0.25 µm/px, in tiles of 32 px at 0.5 µm/px."""
    content = {
        "slide": "section.svs",
        "slide_fingerprint": "0",
        "slide_width_px": 640,
        "slide_height_px": 448,
        "slide_mpp": 0.25,
        "model": "student",
        "model_fingerprint": "0",
        "classes": CLASSES,
        "colours": COLOURS,
        "tile_px": 32,
        "mpp": 0.5,
        "stride_px": 32,
        "min_tissue": 0.5,
        "engine": "torch",
        "tissue_area_um2": 0.0,
        "versions": {},
        "created": "2026-01-01T00:00:00+00:00",
    }
    return MapCard.model_validate(content | facts)


def slide_map(row: list[int], column: list[int], *, seed: int = 0, **facts: object) -> SlideMap:
    """Give a map with random probabilities at some places."""
    shares = np.random.default_rng(seed).dirichlet([0.5] * len(CLASSES), len(row)).astype(np.float32)
    shares = shares.reshape(len(row), len(CLASSES))
    return SlideMap(map_card(**facts), np.array(column, np.int32), np.array(row, np.int32), shares)
