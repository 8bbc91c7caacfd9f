"""A cohort with maps and an expert's outlines, small and known cell by cell."""

import json
from pathlib import Path

import numpy as np

from hviskd.segmentation import SlideMap, save_slide_map
from hviskd.segmentation.outputs import read_summary, write_summary
from hviskd.slides import slide_fingerprint
from tests.segmentation.make import CLASSES, map_card
from tests.slides.make import stained, write_svs

WIDTH, HEIGHT, CELL = 1280, 960, 64  # level-0 px; 20 × 15 cells of 32 µm at 0.5 µm/px
ROWS, COLUMNS = HEIGHT // CELL, WIDTH // CELL


def labels(seed):
    """A class per cell, so that no row and no column is like its neighbour; −1 where there is no tile."""
    rng = np.random.default_rng(seed)
    found = rng.integers(0, len(CLASSES), (ROWS, COLUMNS))
    found[:, :2] = -1
    found[3:5, 7:12] = -1
    return found


def make_map(path: Path, folder: Path, *, seed: int, model: str, notes=()) -> SlideMap:
    """Map a slide at random, and save the map as `hviskd segment` does."""
    classes = labels(seed)
    row, column = np.nonzero(classes >= 0)
    rng = np.random.default_rng(seed)
    top = rng.uniform(0.4, 1.0, len(row)).astype(np.float32)
    shares = np.empty((len(row), len(CLASSES)), np.float32)
    rest = (1 - top) * rng.uniform(0.3, 0.7, len(row)).astype(np.float32)
    mine = classes[row, column]
    places = np.arange(len(row))
    shares[places, mine] = top
    shares[places, (mine + 1) % 3] = np.minimum(rest, top)
    shares[places, (mine + 2) % 3] = 1 - top - shares[places, (mine + 1) % 3]
    card = map_card(
        slide=path.name,
        slide_fingerprint=slide_fingerprint(path),
        slide_width_px=WIDTH,
        slide_height_px=HEIGHT,
        slide_mpp=0.5,
        tile_px=64,
        stride_px=64,
        mpp=0.5,
        model=model,
        tissue_area_um2=len(row) * 32.0**2,
        notes=notes,
    )
    made = SlideMap(card, column.astype(np.int32), row.astype(np.int32), shares)
    save_slide_map(made, folder)
    summary = read_summary(folder)
    write_summary(folder, summary.model_copy(update={"place": "00000000"}))  # as if it had been mapped elsewhere
    return made


def square(x_px, y_px, side_px, name):
    corners = [[x_px, y_px], [x_px + side_px, y_px], [x_px + side_px, y_px + side_px], [x_px, y_px + side_px]]
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[*corners, corners[0]]]},
        "properties": {"objectType": "annotation", "classification": {"name": name, "color": [200, 0, 0]}},
    }


def write_cohort(folder: Path) -> Path:
    """Write slides A and B with two maps each, C that failed, and outlines on A."""
    for number, name in enumerate("ABC"):
        image = stained((HEIGHT, WIDTH), 0.4 + 0.3 * number, 0.7, number)
        path = write_svs(folder / "slides" / f"{name}.svs", image, quality=None)
        if name != "C":
            notes = ("no ICC colour profile",) if name == "B" else ()
            make_map(path, folder / "kd" / name, seed=number, model="kd", notes=notes)
            make_map(path, folder / "hviskd" / name, seed=10 + number, model="hviskd")
    header = "slide,folder,state,tiles,tissue_mm2,normal_mm2,rim_mm2,tumour_mm2,problem"
    (folder / "kd" / "slides.csv").write_text(f"{header}\nC.svs,C,failed,,,,,,C.svs: too coarse\n")
    drawn = {"type": "FeatureCollection", "features": [square(256, 256, 320, "Tumour"), square(700, 300, 130, "rim")]}
    (folder / "drawn").mkdir()
    (folder / "drawn" / "A.geojson").write_text(json.dumps(drawn))
    return folder
