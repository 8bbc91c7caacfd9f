"""Where the annotation of a slide lies, and where what is drawn in the viewer is saved.

What is drawn goes where `tiles cut` finds it by the slide's name: beside the slide, or into the folder of annotations.
Where the slide has an annotation of another kind, it goes into the subfolder `drawn` under that name, since two
annotations of a slide in one folder would leave open which counts.
"""

import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from hviskd.errors import DataError
from hviskd.file_names import AnnotationFolder, AnnotationKind
from hviskd.viewer.shelf import ShelfSlide

SUBFOLDER = "drawn"
_QUPATH = ".geojson"


class DrawingPlaces:
    """Finds files; for any number of threads.

    Args:
        given: The file or folder of annotations that the user named, if any.
        slides: All slides of the viewer, to tell those of the same name.

    Raises:
        DataError: There is no such folder.
    """

    def __init__(self, given: Path | None, slides: Iterable[Path] = ()) -> None:
        self._given = given
        self._slides = tuple(slides)
        self._stems = Counter(slide.stem for slide in self._slides)
        self._folders: dict[Path, tuple[int, AnnotationFolder]] = {}  # with when files last came or went
        self._lock = threading.Lock()
        if given is not None and not given.is_file():
            self._listed(given)

    def annotation(self, which: ShelfSlide) -> Path:
        """Return the annotation that is shown on a slide: the one among those given, or what was drawn here.

        Raises:
            DataError: There is none, or more than one.
        """
        drawn = self.target(which)
        if self._given is None:
            if not drawn.is_file():
                raise DataError(f"{which.path}: no annotations were given")
            return drawn
        if self._given.is_file():
            return self._given
        try:
            return self._listed(self._given).of(which.path)
        except DataError:
            if not drawn.is_file():
                raise
            return drawn

    def target(self, which: ShelfSlide) -> Path:
        """Return where what is drawn on a slide is saved; the file need not be there."""
        folder, there = which.path.parent, None
        if self._given is not None:
            folder = self._given.parent if self._given.is_file() else self._given
        own = folder / self._own_name(which.path)
        if self._given is not None and self._given.is_file():
            there = self._given
            if len(self._slides) > 1:  # it is not this slide's alone
                return folder / SUBFOLDER / own.name
        elif not own.is_file():
            there = self._beside(which.path, folder)
        if there is None:
            return own
        return there if there.suffix.lower() == _QUPATH else folder / SUBFOLDER / own.name

    def folder(self) -> set[Path]:
        """Return the folder of the annotations that were given."""
        if self._given is None:
            return set()
        return {self._given.parent} if self._given.is_file() else {self._given}

    def _own_name(self, slide: Path) -> str:
        return f"{slide.name if self._stems[slide.stem] > 1 else slide.stem}{_QUPATH}"

    def _beside(self, slide: Path, folder: Path) -> Path | None:
        """Return the annotation of a slide in a folder; beside slides, pictures of their name may be anything."""
        try:
            found = self._listed(folder, None if self._given is not None else "outlines").of(slide)
        except DataError:
            return None
        return found if found.is_file() else None

    def _listed(self, folder: Path, kind: AnnotationKind | None = None) -> AnnotationFolder:
        changed_ns = folder.stat().st_mtime_ns if folder.is_dir() else 0
        with self._lock:
            known = self._folders.get(folder)
            if known is None or known[0] != changed_ns:
                known = self._folders[folder] = changed_ns, AnnotationFolder(folder, kind)
            return known[1]
