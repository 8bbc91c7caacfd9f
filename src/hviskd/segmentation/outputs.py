"""The folder of a SlideMap, written and read; a cohort has one per slide.

`summary.json` is written last and in one step: a folder without it is unfinished.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from hviskd.arrays import RGB
from hviskd.errors import DataError, first_problem
from hviskd.segmentation.settings import WRITTEN
from hviskd.segmentation.slide_map import MapCard, SlideMap
from hviskd.storage import read_json, write_json

SUMMARY = "summary.json"
MAP, TILES, OVERVIEW = "map.npz", "tiles.parquet", "overview.png"
CLASSES, PROBABILITIES = "classes.ome.tiff", "probabilities.ome.tiff"


class Summary(BaseModel):
    """The content of a folder, and its provenance.

    Attributes:
        map: What the map is of.
        tiles: How many were classified.
        areas_mm2: Area by class.
        seconds: What each stage took.
        files: What was written beside it.
        fingerprint: Of all that shaped the files: slide, Model and settings.
        place: Stands for where the slide lay, and tells nothing of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    format_version: Literal[1] = 1
    map: MapCard
    tiles: int
    areas_mm2: dict[str, float]
    seconds: dict[str, float]
    files: tuple[str, ...]
    fingerprint: str = ""
    place: str = ""

    @classmethod
    def of(
        cls,
        slide_map: SlideMap,
        files: tuple[str, ...],
        *,
        seconds: Mapping[str, float] = MappingProxyType({}),
        fingerprint: str = "",
        place: str = "",
    ) -> "Summary":
        """Summarise a map whose files have been written."""
        return cls(
            map=slide_map.card,
            tiles=len(slide_map),
            areas_mm2=slide_map.areas_mm2(),
            seconds={stage: round(spent, 3) for stage, spent in seconds.items()},
            files=files,
            fingerprint=fingerprint,
            place=place,
        )


def write_files(
    slide_map: SlideMap, folder: Path, thumbnail: RGB | None, wanted: Collection[str] = WRITTEN
) -> tuple[str, ...]:
    """Write a map and the `wanted` files, but not the summary, each in one step, and return their names.

    Any summary that stands there is taken away first, for it speaks of other files; so are files that are not wanted.
    """
    from hviskd.segmentation.geojson import write_geojson
    from hviskd.segmentation.ome_tiff import write_ome_tiff, write_probability_tiff
    from hviskd.segmentation.overview import draw_overview
    from hviskd.segmentation.tables import write_npz, write_parquet

    folder.mkdir(parents=True, exist_ok=True)
    (folder / SUMMARY).unlink(missing_ok=True)
    for leftover in folder.glob(".partial-*"):  # of a run that was killed
        leftover.unlink(missing_ok=True)
    names = file_names(slide_map.card.slide, wanted)
    for other in set(file_names(slide_map.card.slide)) - set(names):
        (folder / other).unlink(missing_ok=True)
    write_npz(slide_map, folder / MAP)
    if "table" in wanted:
        write_parquet(slide_map, folder / TILES)
    if "qupath" in wanted:
        write_geojson(slide_map, folder / _outlines(slide_map.card.slide))
    if "ome-tiff" in wanted:
        write_ome_tiff(slide_map, folder / CLASSES)
        write_probability_tiff(slide_map, folder / PROBABILITIES)
    if "overview" in wanted:
        draw_overview(slide_map, thumbnail).save(folder / OVERVIEW)
    return names


def file_names(slide: str, wanted: Collection[str] = WRITTEN) -> tuple[str, ...]:
    """Return the names of the files of a slide's map, but the summary's."""
    of = {
        "table": (TILES,),
        "qupath": (_outlines(slide),),
        "ome-tiff": (CLASSES, PROBABILITIES),
        "overview": (OVERVIEW,),
    }
    return MAP, *(name for kind, names in of.items() if kind in wanted for name in names)


def _outlines(slide: str) -> str:
    return f"{Path(slide).stem}.geojson"


def save_slide_map(slide_map: SlideMap, folder: Path | str, thumbnail: RGB | None = None) -> Path:
    """Write a map in every format, as for a cohort, and return its folder.

    Args:
        slide_map: The result of `segment`.
        folder: The folder to write; an earlier map in it is replaced.
        thumbnail: The slide at low power, from `Slide.thumbnail`, to draw the map on; white if not given.
    """
    folder = Path(folder)
    files = write_files(slide_map, folder, thumbnail)
    write_summary(folder, Summary.of(slide_map, files))
    return folder


def write_summary(folder: Path, summary: Summary) -> None:
    """Mark a folder as complete."""
    write_json(folder / SUMMARY, summary.model_dump(mode="json"))


def read_summary(folder: Path | str) -> Summary:
    """Read the summary of a finished folder.

    Raises:
        DataError: There is no such folder, it is unfinished, or its summary is damaged.
    """
    folder = Path(folder)
    path = folder / SUMMARY
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    if not path.is_file():
        raise DataError(f"{folder}: contains no finished map; give a slide's folder that `segment_cohort()` wrote")
    try:
        return Summary.model_validate(read_json(path))
    except ValidationError as error:
        raise DataError(f"{path}: not the summary of a map ({first_problem(error)}); segment again") from error


def load_slide_map(folder: Path | str) -> SlideMap:
    """Load a map from the folder that it was saved to.

    Raises:
        DataError: The folder is unfinished, or a file in it is damaged.
    """
    from hviskd.segmentation.tables import read_npz

    read_summary(folder)
    return read_npz(Path(folder) / MAP)
