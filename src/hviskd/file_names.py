"""Naming conventions of slides, masks and outlines on disk."""

import re
from pathlib import Path

from hviskd.errors import DataError

WHOLE_SLIDE_SUFFIXES = (".svs", ".svslide", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".czi", ".dcm")
FLAT_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
PICTURE_SUFFIXES = (*FLAT_SUFFIXES, ".webp")  # of tiles
OUTLINE_SUFFIXES = (".geojson", ".json")
MASK_ENDINGS = ("_L", "_mask", "-mask")  # the mask of STEM is STEM_L, as in the Ivy atlas, or one of the others


def safe_name(name: str, longest: int = 80) -> str:
    """Turn any name into part of a file name: letters, digits, `_`, `.` and `-`; empty if nothing remains."""
    return re.sub(r"[^\w.-]+", "-", name)[:longest].strip(".-")


class AnnotationFolder:
    """A folder with one mask (`STEM_L.jpg`, `STEM_mask.png`, `STEM.tif`, …) or outline file (`STEM.geojson`) per slide.

    Args:
        folder: Where they lie; its subfolders are not searched.
        masks: Look for colour masks, else for GeoJSON or Labelme JSON.

    Raises:
        DataError: There is no such folder.
    """

    def __init__(self, folder: Path, *, masks: bool) -> None:
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder")
        self.folder = folder
        self._endings = (MASK_ENDINGS, ("",)) if masks else (("",),)  # the plain name only if there is no other
        self._kind = "mask" if masks else "annotation"
        suffixes = FLAT_SUFFIXES if masks else OUTLINE_SUFFIXES
        self._shown = (".png",) if masks else OUTLINE_SUFFIXES
        self._files: dict[str, list[Path]] = {}
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in suffixes and not path.name.startswith("."):
                self._files.setdefault(path.stem, []).append(path)

    def of(self, slide: Path) -> Path:
        """Return the annotation of a slide.

        Raises:
            DataError: There is none, or several that are as good as each other.
        """
        for endings in self._endings:
            named = [path for ending in endings for path in self._files.get(slide.stem + ending, [])]
            found = [path for path in named if path.resolve() != slide.resolve()]
            if len(found) > 1:
                names = " and ".join(path.name for path in found)
                raise DataError(f"{slide}: has several {self._kind}s in {self.folder} ({names}); keep only one")
            if found:
                return found[0]
        wanted = [slide.stem + end + suffix for ends in self._endings for end in ends for suffix in self._shown]
        raise DataError(f"{slide}: has no {self._kind} in {self.folder}; name it {' or '.join(wanted)}")
