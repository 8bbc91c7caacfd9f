"""Finds what belongs to each map, and compares one after the other; `hviskd agree` calls it."""

import glob
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hviskd.agreement.boundary import distance_edges_um
from hviskd.agreement.slide_agreement import DEFAULT_REACH_UM, Compared, agree_on_slide
from hviskd.annotations import Legend, read_annotation
from hviskd.errors import DataError
from hviskd.file_names import AnnotationFolder
from hviskd.progress import progress_bar
from hviskd.segmentation import MapCard, SlideMap, load_slide_map

THUMBNAIL_PX = 800


def agree(
    maps: Sequence[Path],
    annotations: Path,
    *,
    legend: Legend | None = None,
    tolerance: float = 20.0,
    bin_um: float | None = None,
    reach_um: float = DEFAULT_REACH_UM,
    unlabelled_is_other: bool = False,
    slides: Path | None = None,
    failed: dict[str, str] | None = None,
) -> Iterator[Compared]:
    """Compare maps with the annotations of their slides, one after the other, slide by slide.

    Args:
        maps: Folders that `hviskd segment` wrote: of one map, or of several.
        annotations: One file, for maps of one slide, or a folder with one a slide, named as `hviskd tiles cut` has it.
        legend: The classes; a mask needs one.
        tolerance: As in `read_annotation`.
        bin_um: Width of the steps of the profiles; the widest cell of all maps if not given.
        reach_um: How far from the outline they go.
        unlabelled_is_other: As in `agree_on_slide`.
        slides: The slide, or a folder with the slides somewhere in it, to show them in the pictures.
        failed: Is told why a slide could not be compared, by its name (that of the folder, of a map that cannot be
            read), while the others are; without it the first such problem is raised.

    Raises:
        DataError: A map, an annotation or a slide is missing or damaged, or does not fit the others; or nothing could
            be compared.
    """
    problems = {} if failed is None else failed

    @contextmanager
    def told(name: str) -> Iterator[None]:
        try:
            yield
        except DataError as error:
            if failed is None:
                raise
            problems[name] = str(error)

    loaded: list[SlideMap] = []
    for folder in _map_folders(maps):
        with told(folder.name):
            loaded.append(load_slide_map(folder))
    if not loaded:
        raise _nothing(problems)
    names = _model_names(loaded)
    count = len({slide_map.card.slide for slide_map in loaded})
    if annotations.is_file() and count > 1:
        raise DataError(f"{annotations}: one annotation for {count} slides; give a folder with one for each")
    try:
        widest_um = max(slide_map.stride_um for slide_map in loaded)
        edges_um = distance_edges_um(widest_um if bin_um is None else bin_um, reach_um)
    except ValueError as error:
        raise DataError(f"`bin_um`, `reach_um`: {error}") from error
    order = sorted(range(len(loaded)), key=lambda at: loaded[at].card.slide)
    any_found = False
    with progress_bar("maps", len(loaded)) as advance:
        for at in order:
            slide_map, card = loaded[at], loaded[at].card
            size = card.slide_width_px, card.slide_height_px
            found: Compared | None = None
            with told(card.slide):
                path = annotations if annotations.is_file() else AnnotationFolder(annotations).of(Path(card.slide))
                drawn = read_annotation(path, legend=legend, size=size, tolerance=tolerance)
                thumbnail = None if slides is None else _thumbnail(card, slides)
                found = agree_on_slide(
                    slide_map, drawn, edges_um=edges_um, unlabelled_is_other=unlabelled_is_other, model=names[at]
                )
                found = replace(found, thumbnail=thumbnail)
            if found is not None:
                any_found = True
                yield found
            advance(note=card.slide)
    if not any_found:
        raise _nothing(problems)


def _nothing(problems: Mapping[str, str]) -> DataError:
    """Say why no map could be compared."""
    first, *others = problems.values()
    return DataError(f"{first} (and {len(others)} more problems)" if others else first)


def _map_folders(paths: Sequence[Path]) -> list[Path]:
    """Give the folders of the maps: each path itself, or the maps in it."""
    folders: list[Path] = []
    for path in paths:
        inner = sorted(entry.parent for entry in path.glob("*/map.npz"))
        if (path / "map.npz").is_file() or not inner:
            folders.append(path)  # if it is no map, loading it says so
        else:
            folders += inner
    return list(dict.fromkeys(folders))


def _model_names(maps: Sequence[SlideMap]) -> list[str]:
    """Name each map's maker so that no two makers share a name.

    Raises:
        DataError: Two maps of one slide have the same maker and grid.
    """
    makers: dict[str, set[tuple[str, int, str]]] = {}
    seen: set[tuple[str, str, tuple[str, int, str]]] = set()
    names = []
    for card in (slide_map.card for slide_map in maps):
        maker = card.model_fingerprint, card.stride_px, card.stain
        if (card.slide, card.model, maker) in seen:
            raise DataError(f"two maps of {card.slide} by {card.model} are alike; give each once")
        seen.add((card.slide, card.model, maker))
        makers.setdefault(card.model, set()).add(maker)
    for card in (slide_map.card for slide_map in maps):
        alike = len(makers[card.model]) > 1
        names.append(
            f"{card.model} {card.model_fingerprint[:6]}, step {card.stride_px} px, stain {card.stain}"
            if alike
            else card.model
        )
    return names


def _thumbnail(card: MapCard, slides: Path) -> NDArray[np.uint8]:
    """Find the slide that a map is of, and give it at low power."""
    from hviskd.slides import open_slide
    from hviskd.slides.slide_files import slide_fingerprint

    found = [slides] if slides.is_file() else sorted(slides.rglob(glob.escape(card.slide)))
    alike = [path for path in found if slide_fingerprint(path) == card.slide_fingerprint]
    if not alike:
        told = "has changed since it was mapped, or is another of that name" if found else "is not there"
        raise DataError(f"{slides}: the slide {card.slide} {told}; leave `slides` away, or map it again")
    with open_slide(alike[0], slide_mpp=card.slide_mpp) as slide:
        return slide.thumbnail(THUMBNAIL_PX)
