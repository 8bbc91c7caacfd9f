"""The folder of a SlideMap, written and read; a cohort has one per slide.

`summary.json` is written last and in one step: a folder without it is unfinished.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from hviskd.arrays import RGB
from hviskd.errors import DataError, first_problem
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


def write_files(slide_map: SlideMap, folder: Path, thumbnail: RGB | None) -> tuple[str, ...]:
    """Write a map in every format except the summary, each file in one step, and return their names.

    Any summary that stands there is taken away first, for it speaks of other files.
    """
    from hviskd.segmentation.geojson import write_geojson
    from hviskd.segmentation.ome_tiff import write_ome_tiff, write_probability_tiff
    from hviskd.segmentation.overview import draw_overview
    from hviskd.segmentation.tables import write_npz, write_parquet

    folder.mkdir(parents=True, exist_ok=True)
    (folder / SUMMARY).unlink(missing_ok=True)
    for leftover in folder.glob(".partial-*"):  # of a run that was killed
        leftover.unlink(missing_ok=True)
    outlines = f"{Path(slide_map.card.slide).stem}.geojson"
    write_npz(slide_map, folder / MAP)
    write_parquet(slide_map, folder / TILES)
    write_geojson(slide_map, folder / outlines)
    write_ome_tiff(slide_map, folder / CLASSES)
    write_probability_tiff(slide_map, folder / PROBABILITIES)
    draw_overview(slide_map, thumbnail).save(folder / OVERVIEW)
    return MAP, TILES, outlines, CLASSES, PROBABILITIES, OVERVIEW


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
