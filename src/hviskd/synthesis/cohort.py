"""Generates a synthetic cohort of slides with masks, outlines and vessels.

Every slide is drawn by itself from the seed, its patient and its number, so that processes share the work and their
number changes nothing. Drawn tissue says nothing about real tissue.
"""

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hviskd.annotations import load_legend, write_geojson, write_mask
from hviskd.checks import require_at_least
from hviskd.errors import DataError
from hviskd.processor import end_with_parent, usable_cpus
from hviskd.progress import Progress, progress_bar
from hviskd.slides import open_slide, write_svs
from hviskd.storage import atomic_folder, require_free, write_json, write_text
from hviskd.synthesis import TISSUE_CLASSES, draw_patient, draw_tissue, lay_out_section
from hviskd.synthesis.layout import lay_out, require_drawable
from hviskd.synthesis.outlines import section_mask, section_outlines, vessel_outlines, write_vessel_tiles
from hviskd.version import __version__

CARD = "cohort.json"
LEGEND = "ivygap-paper"
LIMIT_PX = 20_000_000  # drawn at once; some 40 bytes a px with all that is made of it
MIN_SIDE_PX = 64
VESSEL_TILE_PX = 150
VESSEL_TILES_PER_SLIDE = 12


@dataclass(frozen=True)
class SyntheticSlide:
    """One slide of a cohort; paths are relative to the cohort's folder.

    Attributes:
        slide: Its name, the stem of its files.
        patient: What stands before the first `-` of its name.
        file: The SVS.
        mask: Its classes in the legend's colours, one px of the mask a px of the slide.
        outlines: The same as QuPath GeoJSON, in px of the slide.
        structures: Its vessels and their lumina as QuPath GeoJSON, in px of the slide.
        vessel_tiles: Labelme files, each with its tile, a PNG of the same name.
        area_mm2: By class.
    """

    slide: str
    patient: str
    file: str
    mask: str
    outlines: str
    structures: str
    vessel_tiles: tuple[str, ...]
    area_mm2: dict[str, float]


@dataclass(frozen=True)
class SyntheticCohort:
    """The files of a generated cohort."""

    folder: Path
    slides: tuple[SyntheticSlide, ...]

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        rows = [(slide.patient, slide.file, slide.mask, slide.outlines) for slide in self.slides]
        return show.paragraph(f"{self.folder}: synthetic slides") + show.table(
            ("patient", "slide", "mask", "outlines"), rows
        )


@dataclass(frozen=True)
class CohortSettings:
    """Which slides to generate.

    Attributes:
        patients: Number of patients.
        slides_per_patient: Number of slides per patient.
        width_px: Width of a slide, from 64; at most 20 million px per slide.
        height_px: Height of a slide.
        mpp: µm/px, from 0.1 to 4.
        seed: Random seed of everything.

    Raises:
        DataError: A number is out of range.
    """

    patients: int = 6
    slides_per_patient: int = 1
    width_px: int = 4000
    height_px: int = 3000
    mpp: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject invalid values."""
        width_px, height_px, mpp = self.width_px, self.height_px, self.mpp
        if not 1 <= self.patients <= 999 or not 1 <= self.slides_per_patient <= 999:
            raise DataError("`patients` and `slides_per_patient`: must each be from 1 to 999")
        if min(width_px, height_px) < MIN_SIDE_PX:
            raise DataError(
                f"`width_px` and `height_px`: {width_px} × {height_px} px is too small; "
                f"give at least {MIN_SIDE_PX} per side"
            )
        if width_px * height_px > LIMIT_PX:
            raise DataError(
                f"`width_px` and `height_px`: {width_px} × {height_px} px exceed {LIMIT_PX // 10**6} million, the "
                "limit per slide; give a smaller size, or a larger `mpp`"
            )
        require_drawable(mpp)
        require_at_least(0, seed=self.seed)


@dataclass(frozen=True)
class _Order:
    """What one process needs to draw one slide."""

    folder: Path
    patient: int
    number: int
    settings: CohortSettings


def draw_cohort(
    folder: Path | str,
    settings: CohortSettings | None = None,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> SyntheticCohort:
    """Generate slides of glioblastoma, with stain and nuclear density varying between patients, and their annotations.

    In the folder: `slides/P01-1.svs`, `masks/P01-1_L.png` (same size as the slide), `annotations/P01-1.geojson`,
    `structures/P01-1.geojson` (vessels and their lumina), `vessels/P01-1_x1200_y900.png` and `.json` (the same of
    single tiles, for Labelme), `patients.csv` and the card `cohort.json`. The folder is complete or absent. The same
    settings give the same masks, outlines and pixels.

    Args:
        folder: The folder to write.
        settings: Which slides to generate; by default those of `CohortSettings`.
        workers: Number of processes; None: one per core. More than 1 needs an importable main module (as
            `multiprocessing` with spawn does).
        overwrite: Replace an existing cohort.
        progress: Called with done, total and what is being done; a bar by default.

    Raises:
        DataError: The folder is not empty and `overwrite` is not set, or it contains no cohort.
    """
    folder, settings = Path(folder), settings or CohortSettings()
    require_at_least(1, workers=workers)
    require_free(folder, overwrite=overwrite, replaces=(CARD, "drawn cohort"))
    total = settings.patients * settings.slides_per_patient
    with (
        atomic_folder(folder, overwrite=overwrite) as partial,
        progress_bar("generating slides", total, progress) as advance,
    ):
        orders = [
            _Order(partial, patient, number, settings)
            for patient in range(1, settings.patients + 1)
            for number in range(1, settings.slides_per_patient + 1)
        ]
        drawn = []
        for slide in _draw_all(orders, min(workers or usable_cpus(), total)):
            drawn.append(slide)
            advance(note=slide.slide)
        drawn.sort(key=lambda slide: slide.slide)
        rows = "".join(f"{slide.slide},{slide.patient}\n" for slide in drawn)
        write_text(partial / "patients.csv", f"slide,patient\n{rows}")
        write_json(partial / CARD, _card(settings, drawn))
    return SyntheticCohort(folder, tuple(drawn))


def _draw_all(orders: list[_Order], workers: int) -> Iterator[SyntheticSlide]:
    """Yield the slides as they are finished."""
    if workers == 1:
        yield from map(_draw_slide, orders)
        return
    others = set(multiprocessing.active_children())
    # Not forked: a fork of a process whose libraries run threads may stand still for ever.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin) as pool:
        waiting = [pool.submit(_draw_slide, order) for order in orders]
        try:
            for done in as_completed(waiting):
                yield done.result()
        except BrokenProcessPool as error:
            raise DataError("a process was killed, perhaps for lack of memory; use fewer `workers`") from error
        except BaseException:  # an interrupt, say: nobody wants to wait for slides that will be thrown away
            pool.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise


def _begin() -> None:
    """Leave interrupts to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def _draw_slide(order: _Order) -> SyntheticSlide:
    """Draw one slide and write its files."""
    settings, patient = order.settings, f"P{order.patient:02d}"
    name = f"{patient}-{order.number}"
    svs, mask_png, geojson = f"slides/{name}.svs", f"masks/{name}_L.png", f"annotations/{name}.geojson"
    structures = f"structures/{name}.geojson"
    section_seed, tissue_seed = np.random.SeedSequence([settings.seed, order.patient, order.number]).spawn(2)
    section_rng = np.random.default_rng(section_seed)
    class_map = lay_out_section(settings.width_px, settings.height_px, mpp=settings.mpp, rng=section_rng)
    look = draw_patient(settings.seed * 10_000 + order.patient)
    tissue_rng = np.random.default_rng(tissue_seed)
    layout = lay_out(class_map, settings.mpp, tissue_rng)
    pixels = draw_tissue(class_map, look, mpp=settings.mpp, rng=tissue_rng, layout=layout)
    write_svs(order.folder / svs, pixels, mpp=settings.mpp)
    del pixels
    legend = load_legend(LEGEND)
    mask = section_mask(class_map, legend)
    write_mask(mask, order.folder / mask_png, legend)
    write_geojson(section_outlines(mask, legend), order.folder / geojson)
    whole = settings.width_px, settings.height_px
    write_geojson(vessel_outlines(layout, 0, 0, whole, settings.mpp), order.folder / structures)
    with open_slide(order.folder / svs) as slide:
        tiles = write_vessel_tiles(
            slide,
            layout,
            class_map,
            order.folder / "vessels",
            tile_px=VESSEL_TILE_PX,
            most=VESSEL_TILES_PER_SLIDE,
        )
    return SyntheticSlide(
        slide=name,
        patient=patient,
        file=svs,
        mask=mask_png,
        outlines=geojson,
        structures=structures,
        vessel_tiles=tuple(path.relative_to(order.folder).as_posix() for path in tiles),
        area_mm2=_areas(class_map, settings.mpp),
    )


def _areas(class_map: NDArray[np.uint8], mpp: float) -> dict[str, float]:
    counts = np.bincount(class_map.ravel(), minlength=len(TISSUE_CLASSES)).tolist()
    return {tissue.name: round(count * mpp**2 * 1e-6, 4) for tissue, count in zip(TISSUE_CLASSES, counts, strict=True)}


def _card(settings: CohortSettings, drawn: list[SyntheticSlide]) -> dict[str, object]:
    return {
        "kind": "synthetic cohort",
        "source": "glioblastoma sections drawn by hviskd; they say nothing about real tissue",
        "hviskd": __version__,
        "licence": "Apache-2.0",
        "options": asdict(settings),
        "legend": LEGEND,
        "classes": [asdict(tissue) for tissue in TISSUE_CLASSES],
        "slide_px_per_mask_px": 1,
        "vessel_tile_px": VESSEL_TILE_PX,
        "slides": [asdict(slide) for slide in drawn],
    }
