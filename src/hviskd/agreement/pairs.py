"""Pairs of a map and an annotation, read from disk one at a time."""

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hviskd.agreement.slide_agreement import Compared, SlideAgreement, agree_on_slide, compared_again
from hviskd.annotations import DEFAULT_TOLERANCE, Annotation, Legend, read_annotation
from hviskd.arrays import RGB, Floats
from hviskd.errors import DataError
from hviskd.file_names import AnnotationFolder, as_given, is_of_many
from hviskd.segmentation import MapCard, SlideMap, load_slide_map

THUMBNAIL_PX = 800


@dataclass(frozen=True)
class Drawn:
    """Annotations, and the settings to read them.

    Attributes:
        annotations: One file, for maps of one slide, or a folder with one per slide.
        legend: The classes; a mask needs one.
        tolerance: As in `read_annotation`.
        no_crop: See `SlideFrame`.
        unlabelled_is_other: As in `agree_on_slide`.
        slides: The slide, or a folder with the slides somewhere in it, for the pictures.
    """

    annotations: Path
    legend: Legend | None = None
    tolerance: float = DEFAULT_TOLERANCE
    no_crop: bool = False
    unlabelled_is_other: bool = False
    slides: Path | None = None

    def absolute(self) -> "Drawn":
        """Return the same with absolute paths, for processes with other working directories."""
        slides = None if self.slides is None else self.slides.absolute()
        return replace(self, annotations=self.annotations.absolute(), slides=slides)


@dataclass(frozen=True)
class Pair:
    """A map, and the annotation of its slide.

    Attributes:
        folder: Of the map.
        card: Of the map.
        model: What to call its maker, so that no two makers share a name.
        drawn: What experts drew.
    """

    folder: Path
    card: MapCard
    model: str
    drawn: Drawn

    def absolute(self) -> "Pair":
        """Return the same with absolute paths, for processes with other working directories."""
        return replace(self, folder=self.folder.absolute(), drawn=self.drawn.absolute())

    def respelled(self, said: str) -> str:
        """Return what a process said of the pair that has absolute paths, with the paths as they were given."""
        return as_given(said, filter(None, (self.folder, self.drawn.annotations, self.drawn.slides)))

    def measure(self, edges_um: Floats) -> SlideAgreement:
        """Compare map and annotation; `edges_um` are the bin edges of the profiles.

        Raises:
            DataError: A file is missing or damaged, or does not fit the others.
        """
        slide_map, annotation = self._read()
        if self.drawn.slides is not None:
            _find_slide(self.card, self.drawn.slides)
        return agree_on_slide(
            slide_map,
            annotation,
            edges_um=edges_um,
            unlabelled_is_other=self.drawn.unlabelled_is_other,
            model=self.model,
        ).agreement

    def compared(self, agreement: SlideAgreement) -> Compared:
        """Read again what a figure of an agreement shows.

        Raises:
            DataError: As for `measure`.
        """
        slide_map, annotation = self._read()
        thumbnail = None if self.drawn.slides is None else _thumbnail(self.card, self.drawn.slides)
        strict = self.drawn.unlabelled_is_other
        return compared_again(slide_map, annotation, agreement, unlabelled_is_other=strict, thumbnail=thumbnail)

    def _read(self) -> tuple[SlideMap, Annotation]:
        slide_map = load_slide_map(self.folder)
        place = self.drawn.annotations
        path = place if place.is_file() else AnnotationFolder(place).of(Path(self.card.slide))
        frame = self.card.frame(no_crop=self.drawn.no_crop)
        return slide_map, read_annotation(
            path,
            legend=self.drawn.legend,
            frame=frame,
            slide=self.card.slide,
            tolerance=self.drawn.tolerance,
        )


def map_folders(paths: Sequence[Path]) -> list[Path]:
    """Return the folders of the maps: each path itself, or the maps in it."""
    folders: list[Path] = []
    for path in paths:
        inner = sorted(entry.parent for entry in path.glob("*/map.npz"))
        if (path / "map.npz").is_file() or not inner:
            folders.append(path)  # if it is no map, loading it says so
        else:
            folders += inner
    return list(dict.fromkeys(folders))


def pair_up(cards: Mapping[Path, MapCard], drawn: Drawn) -> list[Pair]:
    """Pair maps, by folder, with annotations, slide by slide, and name the Model of each map.

    Raises:
        DataError: Two maps of one slide have the same maker and grid, or one annotation is given for several slides.
    """
    count = len({card.slide for card in cards.values()})
    if drawn.annotations.is_file() and count > 1 and not is_of_many(drawn.annotations):
        raise DataError(f"{drawn.annotations}: one annotation for {count} slides; give a folder with one for each")
    makers: dict[str, set[tuple[str, int, str]]] = {}
    seen: set[tuple[str, str, tuple[str, int, str]]] = set()
    for card in cards.values():
        maker = card.model_fingerprint, card.stride_px, _colours(card)
        if (card.slide, card.model, maker) in seen:
            raise DataError(f"two maps of {card.slide} by {card.model} are identical; give each only once")
        seen.add((card.slide, card.model, maker))
        makers.setdefault(card.model, set()).add(maker)

    def name(card: MapCard) -> str:
        if len(makers[card.model]) == 1:
            return card.model
        return f"{card.model} {card.model_fingerprint[:6]}, step {card.stride_px} px, stain {_colours(card)}"

    pairs = [Pair(folder, card, name(card), drawn) for folder, card in cards.items()]
    return sorted(pairs, key=lambda pair: pair.card.slide)


def _colours(card: MapCard) -> str:
    return f"{card.stain}, sRGB" if card.icc else card.stain


def _find_slide(card: MapCard, slides: Path) -> Path:
    """Find the slide of a map."""
    from hviskd.slides import slide_fingerprint

    found = [slides] if slides.is_file() else sorted(slides.rglob(glob.escape(card.slide)))
    alike = [path for path in found if slide_fingerprint(path) == card.slide_fingerprint]
    if not alike:
        told = "has changed since it was mapped, or is another slide of the same name" if found else "is missing"
        raise DataError(f"{slides}: the slide {card.slide} {told}; omit `slides`, or map it again")
    return alike[0]


def _thumbnail(card: MapCard, slides: Path) -> RGB:
    from hviskd.slides import open_slide

    with open_slide(_find_slide(card, slides), slide_mpp=card.slide_mpp, icc=card.icc) as slide:
        return slide.thumbnail(THUMBNAIL_PX)
