"""Segments one slide: reads the tissue's tiles in threads and classifies them batch by batch.

Users call `segment` for one slide; a cohort goes through `classify`, slide after slide.
"""

import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hviskd.arrays import Bools, Floats32, Ints
from hviskd.errors import ModelError
from hviskd.models import AnyModel, find_model
from hviskd.models.compute import Compute, LateEngine
from hviskd.processor import give_back_memory
from hviskd.progress import Progress, progress_bar
from hviskd.segmentation.coarse_to_fine import FirstPass, to_look_at_closely
from hviskd.segmentation.preparing import PreparedSlide, prepare_slide
from hviskd.segmentation.settings import MapSettings, Request
from hviskd.segmentation.slide_map import MapCard, SlideMap
from hviskd.slides.slide_files import slide_fingerprint
from hviskd.version import __version__

if TYPE_CHECKING:
    from hviskd.models import Model

Classified = Callable[[Ints, Floats32], None]
"""Called with positions (B,) among a slide's tiles and their class probabilities (B, K), batch after batch."""

_GIVE_BACK_EVERY = 1000  # tiles; what reading them leaves unused would add up over a large slide


class MapEngines:
    """The engines of a map: for tiles at full power, and at low power where there is a first pass; opened when needed.

    Attributes:
        compute: How to compute.
        full: For tiles at full power.
        low: For tiles at low power; None without a first pass.
    """

    def __init__(self, compute: Compute, source: "Model | Path", request: Request) -> None:
        self.compute = compute = request.suited(compute)
        self.full = LateEngine(compute, source)
        self.low = None if request.first_unsure_below is None else LateEngine(compute, source, low_power=True)

    def start(self) -> None:
        """Start opening what is needed first; only one thread at a time may call this."""
        (self.low or self.full).start()


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
        ModelError: The Model is missing or damaged, or its µm/px is unknown, or it is not calibrated for a first
            pass at low power.
        DataError: The slide is damaged or unsuitable, or the step does not suit the Model.
    """
    source, card = find_model(model)
    request = Request.of(card, settings or MapSettings())
    engines = MapEngines(compute or Compute(), source, request)
    prepared = prepare_slide(Path(slide), request, slide_mpp=slide_mpp, when_open=engines.start)
    with prepared.slide:
        return classify(prepared, engines, progress=progress)


def classify(
    prepared: PreparedSlide,
    engines: MapEngines,
    *,
    title: str = "",
    progress: Progress | None = None,
    classified: Classified | None = None,
) -> SlideMap:
    """Classify the tiles of an open slide.

    Args:
        prepared: The slide and its tiles.
        engines: Waited for only if there is a tile.
        title: What to call it while it is done; the slide's name if not given.
        progress: As for `segment`.
        classified: Called with each batch's positions and probabilities; those looked at closely come twice.

    Raises:
        DataError: The slide is damaged.
        ModelError: The Model gives numbers that are no probabilities.
    """
    title, card = title or prepared.slide.path.name, prepared.request.card
    look = _Look(prepared, engines.compute.readers, progress, classified)
    everything, below, closely = np.arange(len(prepared)), prepared.request.first_unsure_below, None
    if engines.low is None or below is None:
        look(engines.full, everything, title)
    else:
        look(engines.low, everything, f"{title} at low power", low_power=True)
        closely = to_look_at_closely(prepared.row, prepared.column, look.probabilities, below)
        look(engines.full, np.flatnonzero(closely), f"{title} closely")
    if not np.isfinite(look.probabilities).all():
        raise ModelError(f"{card.name}: its outputs contain NaN or infinity; retrain it")
    return map_of(prepared, look.probabilities, look.engine, closely)


class _Look:
    """Classifies tiles of a slide, in one pass or two; the later look at a tile counts.

    Attributes:
        probabilities: float32 (N, K), of all tiles.
        engine: What computed them last, for the card.
    """

    def __init__(
        self, prepared: PreparedSlide, readers: int, progress: Progress | None, classified: Classified | None
    ) -> None:
        self.probabilities = np.empty((len(prepared), len(prepared.request.card.classes)), np.float32)
        self.engine = "none"
        self._prepared, self._readers, self._progress, self._classified = prepared, readers, progress, classified

    def __call__(self, engine: LateEngine, which: Ints, title: str, *, low_power: bool = False) -> None:
        """Classify the tiles at positions `which`, batch by batch."""
        if not len(which):
            return
        watch = self._prepared.watch
        with progress_bar(title, len(which), self._progress) as advance:
            with watch.stage("load"):
                run = engine()
            self.engine = f"{run.name} {run.version}, {run.precision} on {run.device}"
            began, done = time.perf_counter(), 0
            batches = self._prepared.batches(run.tiles_per_call, self._readers, which=which, low_power=low_power)
            while True:
                with watch.stage("read"):
                    batch = next(batches, None)
                if batch is None:
                    break
                with watch.stage("network"):
                    answers = self.probabilities[batch[0]] = run(batch[1])
                if self._classified is not None:
                    self._classified(batch[0], answers)
                done += len(batch[0])
                if done // _GIVE_BACK_EVERY > (done - len(batch[0])) // _GIVE_BACK_EVERY:
                    give_back_memory()
                advance(len(batch[0]), note=f"{done / (time.perf_counter() - began):,.0f} tiles/s")
        give_back_memory()


def map_of(
    prepared: PreparedSlide, probabilities: Floats32, engine: str, looked_closely: Bools | None = None
) -> SlideMap:
    """Return the map of a slide whose tiles have been classified.

    Args:
        prepared: The open slide.
        probabilities: float32 (N, K), of its tiles.
        engine: What classified them, for the card.
        looked_closely: (N,): which of them were looked at closely, after a first pass at low power; None without one.
    """
    slide, request = prepared.slide, prepared.request
    first_pass = None
    if looked_closely is not None and request.first_unsure_below is not None:
        first_pass = FirstPass(
            tile_px=request.card.tile_px // 2,
            mpp=2 * request.mpp,
            unsure_below=request.first_unsure_below,
            closely=int(looked_closely.sum()),
        )
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
        first_pass=first_pass,
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
    return SlideMap(card, prepared.column, prepared.row, probabilities, looked_closely)
