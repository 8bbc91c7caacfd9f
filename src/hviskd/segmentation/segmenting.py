"""Model × Slide → SlideMap: reads the tissue's tiles in threads and classifies them batch by batch.

Users call `segment` for one slide; a cohort goes through `classify`, slide after slide.
"""

import platform
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hviskd.errors import ModelError
from hviskd.processor import give_back_memory
from hviskd.progress import progress_bar
from hviskd.segmentation.loading import EngineChoice, LateEngine, find_model
from hviskd.segmentation.preparing import PreparedSlide, Request, prepare_slide
from hviskd.segmentation.slide_map import MapCard, SlideMap
from hviskd.slides import TissueRule
from hviskd.slides.slide_files import slide_fingerprint
from hviskd.version import __version__

if TYPE_CHECKING:
    from hviskd.models import Model


_GIVE_BACK_EVERY = 1000  # tiles; what reading them leaves unused would add up over a large slide


def segment(
    model: "Model | Path | str",
    slide: Path | str,
    *,
    mpp: float | None = None,
    slide_mpp: float | None = None,
    stride_px: int | None = None,
    min_tissue: float = 0.5,
    tissue_rule: TissueRule | None = None,
    unsure_below: float | None = None,
    engine: str = "auto",
    precision: str = "auto",
    device: str = "auto",
    batch_size: int | None = None,
    threads: int | None = None,
    workers: int | None = None,
) -> SlideMap:
    """Classify the tissue of one slide, tile by tile.

    Tile size, µm/px, normalisation and stain are the Model's. Memory does not grow with the slide, but for the
    probabilities themselves.

    Args:
        model: A Model, its folder, or a finished Run's, whose chosen Model is taken.
        slide: The file.
        mpp: µm a px of the tiles, for a Model whose card does not say.
        slide_mpp: µm a level-0 px, for a slide that does not record it or wrongly.
        stride_px: Step from tile to tile, in px of the Model's µm/px; a tile if not given. Smaller ones overlap.
        min_tissue: Least share of tissue of a tile.
        tissue_rule: What counts as tissue; the defaults of `TissueRule` if not given.
        unsure_below: Tiles whose most probable class is less probable are drawn as unsure; if None, the Model's own
            threshold, where it is calibrated; 0 draws every class.
        engine: What computes, as `hviskd.models.engines.open_engine` takes it.
        precision: What it calculates with, likewise.
        device: `auto`, `cpu`, `cuda` or `mps`.
        batch_size: Tiles at a time; what suits the processor if not given.
        threads: Of the computation; one a core if not given.
        workers: Threads that read the slide; one a core, at most four, if not given.

    Returns:
        The map; empty where the slide holds no tissue.

    Raises:
        ModelError: The Model is missing or damaged, or does not know its µm/px.
        DataError: The slide is damaged or does not fit, or a number is impossible.
    """
    choice = EngineChoice(engine, precision, device, batch_size, threads, workers)
    source, card = find_model(model)
    request = Request.of(
        card,
        mpp=mpp,
        stride_px=stride_px,
        min_tissue=min_tissue,
        tissue_rule=tissue_rule,
        unsure_below=unsure_below,
    )
    run = LateEngine(choice, source)
    prepared = prepare_slide(Path(slide), request, slide_mpp=slide_mpp, when_open=run.start)
    with prepared.slide:
        return classify(prepared, run, choice)


def classify(prepared: PreparedSlide, engine: LateEngine, choice: EngineChoice, title: str = "") -> SlideMap:
    """Classify the tiles of an open slide, with a progress bar.

    Args:
        prepared: The slide and its tiles.
        engine: Waited for only if there is a tile.
        choice: How many threads read.
        title: Of the progress bar; the slide's name if not given.

    Raises:
        DataError: The slide is damaged.
        ModelError: The Model gives numbers that are no probabilities.
    """
    probabilities = np.empty((len(prepared), len(prepared.request.card.classes)), np.float32)
    if not len(prepared):
        return _slide_map(prepared, probabilities, "none")
    watch = prepared.watch
    with progress_bar(title or prepared.slide.path.name, len(prepared)) as advance:
        with watch.stage("load"):
            run = engine()
        began, done = time.perf_counter(), 0
        batches = prepared.batches(run.batch_size, choice.readers)
        while True:
            with watch.stage("read"):
                batch = next(batches, None)
            if batch is None:
                break
            with watch.stage("network"):
                probabilities[batch[0]] = run(batch[1])
            done += len(batch[0])
            if done // _GIVE_BACK_EVERY > (done - len(batch[0])) // _GIVE_BACK_EVERY:
                give_back_memory()
            advance(len(batch[0]), note=f"{done / (time.perf_counter() - began):,.0f} tiles/s")
    give_back_memory()
    if not np.isfinite(probabilities).all():
        raise ModelError(f"{prepared.request.card.name}: gives numbers that are not finite; train it anew")
    return _slide_map(prepared, probabilities, f"{run.name} {run.version}, {run.precision} on {run.device}")


def _slide_map(prepared: PreparedSlide, probabilities: NDArray[np.float32], engine: str) -> SlideMap:
    slide, request = prepared.slide, prepared.request
    card = MapCard(
        slide=slide.path.name,
        slide_fingerprint=slide_fingerprint(slide.path),
        slide_width_px=slide.size[0],
        slide_height_px=slide.size[1],
        slide_mpp=slide.mpp,
        slide_origin_px=slide.origin_px,
        model=request.card.name,
        model_fingerprint=request.card.weights_sha256,
        classes=request.card.classes,
        colours=request.card.colours,
        tile_px=request.card.tile_px,
        mpp=request.mpp,
        stride_px=request.stride_px,
        min_tissue=request.min_tissue,
        tissue_rule=request.tissue_rule,
        unsure_below=request.unsure_below,
        stain=prepared.stain,
        engine=engine,
        tissue_area_um2=prepared.tissue.area_um2,
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
