"""Segments one slide: reads the tissue's tiles in threads and classifies them batch by batch.

Users call `segment` for one slide; a cohort goes through `classify`, slide after slide.
"""

import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hviskd.arrays import Floats32, Ints
from hviskd.errors import ModelError
from hviskd.models import AnyModel, find_model
from hviskd.models.compute import Compute, LateEngine
from hviskd.processor import give_back_memory
from hviskd.progress import Progress, progress_bar
from hviskd.segmentation.preparing import PreparedSlide, prepare_slide
from hviskd.segmentation.settings import MapSettings, Request
from hviskd.segmentation.slide_map import MapCard, SlideMap
from hviskd.slides.slide_files import slide_fingerprint
from hviskd.version import __version__

Classified = Callable[[Ints, Floats32], None]
"""Called with positions (B,) among a slide's tiles and their class probabilities (B, K), batch after batch."""

_GIVE_BACK_EVERY = 1000  # tiles; what reading them leaves unused would add up over a large slide


def segment(
    model: AnyModel,
    slide: Path | str,
    *,
    slide_mpp: float | None = None,
    settings: MapSettings | None = None,
    compute: Compute | None = None,
    progress: Progress | None = None,
) -> SlideMap:
    """Classify the tissue of one slide, tile by tile.

    Tile size, µm/px, normalisation and stain are taken from the Model. Memory does not grow with the slide, except for
    probabilities themselves.

    Args:
        model: A Model, its folder, or a finished Run or its folder, whose selected Model is used.
        slide: The file.
        slide_mpp: µm/px of level 0, for a slide whose metadata lacks it or is wrong.
        settings: What to map; by default adjacent tiles with at least half tissue.
        compute: How to compute; by default the fastest way on this computer.
        progress: Called with done, total and what is being done; a bar by default.

    Returns:
        The map; empty if the slide has no tissue.

    Raises:
        ModelError: The Model is missing or damaged, or its µm/px is unknown.
        DataError: The slide is damaged or unsuitable, or the step does not suit the Model.
    """
    source, card = find_model(model)
    request = Request.of(card, settings or MapSettings())
    engine = LateEngine(compute or Compute(), source)
    prepared = prepare_slide(Path(slide), request, slide_mpp=slide_mpp, when_open=engine.start)
    with prepared.slide:
        return classify(prepared, engine, progress=progress)


def classify(
    prepared: PreparedSlide,
    engine: LateEngine,
    *,
    title: str = "",
    progress: Progress | None = None,
    classified: Classified | None = None,
) -> SlideMap:
    """Classify the tiles of an open slide.

    Args:
        prepared: The slide and its tiles.
        engine: Waited for only if there is a tile.
        title: What to call it while it is done; the slide's name if not given.
        progress: As for `segment`.
        classified: Called with each batch's positions and probabilities.

    Raises:
        DataError: The slide is damaged.
        ModelError: The Model gives numbers that are no probabilities.
    """
    probabilities = np.empty((len(prepared), len(prepared.request.card.classes)), np.float32)
    if not len(prepared):
        return map_of(prepared, probabilities, "none")
    watch = prepared.watch
    with progress_bar(title or prepared.slide.path.name, len(prepared), progress) as advance:
        with watch.stage("load"):
            run = engine()
        began, done = time.perf_counter(), 0
        batches = prepared.batches(run.batch_size, engine.compute.readers)
        while True:
            with watch.stage("read"):
                batch = next(batches, None)
            if batch is None:
                break
            with watch.stage("network"):
                answers = probabilities[batch[0]] = run(batch[1])
            if classified is not None:
                classified(batch[0], answers)
            done += len(batch[0])
            if done // _GIVE_BACK_EVERY > (done - len(batch[0])) // _GIVE_BACK_EVERY:
                give_back_memory()
            advance(len(batch[0]), note=f"{done / (time.perf_counter() - began):,.0f} tiles/s")
    give_back_memory()
    if not np.isfinite(probabilities).all():
        raise ModelError(f"{prepared.request.card.name}: its outputs contain NaN or infinity; retrain it")
    return map_of(prepared, probabilities, f"{run.name} {run.version}, {run.precision} on {run.device}")


def map_of(prepared: PreparedSlide, probabilities: NDArray[np.float32], engine: str) -> SlideMap:
    """Return the map of a slide whose tiles have been classified.

    Args:
        prepared: The open slide.
        probabilities: float32 (N, K), of its tiles.
        engine: What classified them, for the card.
    """
    slide, request = prepared.slide, prepared.request
    card = MapCard(
        slide=slide.path.name,
        slide_fingerprint=slide_fingerprint(slide.path),
        slide_width_px=slide.size[0],
        slide_height_px=slide.size[1],
        slide_mpp=slide.mpp,
        slide_origin_px=slide.origin_px,
        slide_scan_size=slide.scan_size,
        slide_glass=slide.glass,
        model=request.card.name,
        model_fingerprint=request.card.weights_sha256,
        classes=request.card.classes,
        colours=request.card.colours,
        tile_px=request.card.tile_px,
        mpp=request.mpp,
        stride_px=request.stride_px,
        min_tissue=request.min_tissue,
        tissue_rule=request.tissue,
        unsure_below=request.unsure_below,
        icc=slide.in_srgb,
        stain=prepared.stain,
        engine=engine,
        tissue_area_um2=prepared.tissue.area_um2,
        ink_area_um2=prepared.tissue.ink_area_um2,
        notes=prepared.notes,
        versions={
            "python": platform.python_version(),
            "hviskd": __version__,
            "numpy": version("numpy"),
            "openslide": version("openslide-python"),
        },
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return SlideMap(card, prepared.column, prepared.row, probabilities)
