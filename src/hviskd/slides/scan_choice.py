"""Chooses the scan among the images of a TIFF, its levels and its µm/px: never a label, never a macro image.

In an OME-TIFF the OME-XML identifies the images. In any other TIFF, the largest image is the scan, and its smaller
copies are its levels.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from hviskd.errors import DataError
from hviskd.slides.ome_xml import OmeChannel, OmeImage, is_ome, read_ome
from hviskd.slides.pixel_check import kind_of_image, require_colour
from hviskd.slides.pyramid import is_level_of
from hviskd.slides.resolution import CONFLICT, is_sane
from hviskd.slides.tiff_images import BY_PALETTE, StoredImage

_WORDS = "(label|macro|overview|thumbnail|preview|barcode)"
_MAY_BE_NO_SCAN = re.compile(rf"(?<![a-z]){_WORDS}(?![-a-z])", re.IGNORECASE)
_IS_NO_SCAN = re.compile(rf"(^|[\W_]){_WORDS}([\W_]*(image|picture|photo))?[\W_\d]*(\.\w+)?$", re.IGNORECASE)
_AKOYA_TYPE = re.compile(r"<ImageType>(\w+)</ImageType>")
_HEAD_CHARACTERS = 10_000
_MOST_NAMED = 3
T = TypeVar("T")
_RGB = (0xFF0000, 0x00FF00, 0x0000FF)
_RGB_NAMES = (("r", "red"), ("g", "green"), ("b", "blue"))
_NO_NAME = re.compile(r"(channel|chan|ch|c|band|rgb|tl|bf|brightfield|[\W\d_])*", re.IGNORECASE)
_APERIO_FACT = re.compile(r"\|\s*(MPP|AppMag)\s*=\s*(\d+\.?\d*)")


@dataclass(frozen=True)
class Scan:
    """The scan of a file.

    Attributes:
        levels: Its levels, the finest first; of each one image, or three of one sample each for red, green and blue.
        mpp: µm/px along x and y as the file records them.
        vendor: What kind of file it is, in OpenSlide's words.
        magnification: Of the objective.
        notes: A sentence for each thing that a user should know.
    """

    levels: list[list[StoredImage]]
    mpp: tuple[float, float] | None
    vendor: str
    magnification: float | None = None
    notes: tuple[str, ...] = ()


def choose_scan(path: Path, images: Sequence[StoredImage]) -> Scan:
    """Choose the scan.

    Args:
        path: The file, for messages.
        images: Those in its chain of headers.

    Raises:
        DataError: There is none, or its px are not the colours of a stained section.
    """
    if not is_ome(images[0].said):
        return _largest(path, images)
    try:
        described = read_ome(images[0].said)
    except ValueError as error:
        scan = _largest(path, images)
        note = f"its OME-XML cannot be read ({error}); its largest image is taken"
        return Scan(scan.levels, scan.mpp, "ome-tiff", notes=(note, *scan.notes))
    return _described(path, images, described)


def _largest(path: Path, images: Sequence[StoredImage]) -> Scan:
    is_aperio = images[0].said.startswith("Aperio")
    whole = [image for image in images if image.tiled or not is_aperio]  # Aperio's others are label and macro images
    whole = [image for image in whole if not image.reduced] or whole[:1]
    scans = _scans(whole, _title)
    if not scans:
        raise DataError(f"{path}: holds a label or macro image, and no scan")
    scan = max(scans, key=lambda image: math.prod(image.size))
    require_colour(path, kind_of_image(scan))
    levels = [image for image in images if image.tiled] if is_aperio else [image for image in images if image.reduced]
    others = [image for image in scans if image is not scan and not any(image is level for level in levels)]
    if others:
        levels = _copies(images, scan)
    shown = [f"{_title(image) or 'without a name'} ({image.size[0]} × {image.size[1]} px)" for image in others]
    planes = [scan] if not scan.planar else scan.planes()
    facts = dict(_APERIO_FACT.findall(scan.said)) if is_aperio else {}
    mpp = scan.mpp if scan.tiled else None  # of a flat image it is meant for printing
    if is_aperio:
        mpp = (float(facts["MPP"]), float(facts["MPP"])) if "MPP" in facts else None
    return Scan(
        levels=_pyramid(planes, [*scan.below, *levels]),
        mpp=mpp,
        vendor="aperio" if is_aperio else "generic-tiff",
        magnification=float(facts["AppMag"]) if "AppMag" in facts else None,
        notes=_others(shown),
    )


def _described(path: Path, images: Sequence[StoredImage], described: Sequence[OmeImage]) -> Scan:
    scans = _scans(described, lambda image: image.name)
    here = [(image, pages) for image in scans if (pages := _pages(image, images))]
    if not here:
        lack = "its scans lie in other files" if scans else "it holds a label or macro image, and no scan"
        raise DataError(f"{path}: {lack}; export one whole slide as a pyramidal OME-TIFF")
    chosen, pages = max(here, key=lambda each: math.prod(each[1][0].size))
    planes = _colour_planes(path, chosen, pages)
    recorded, notes = _recorded(chosen, pages[0])
    if max(chosen.stack) > 1:
        depths, times = chosen.stack
        held = f"{depths} focal planes" if times == 1 else f"{times} points in time"
        notes += (f"it holds {held}{f' of {depths} focal planes' if depths > 1 < times else ''}; the first is read",)
    copies = [*pages[0].below, *_copies(images, pages[0])] if len(pages) == 1 else []
    others = [image for image in scans if image is not chosen]
    shown = [f"{image.shown_name} ({image.size[0]} × {image.size[1]} px)" for image in others]
    return Scan(
        levels=_pyramid(planes, copies),
        mpp=recorded,
        vendor="ome-tiff",
        magnification=chosen.magnification,
        notes=(*notes, *_others(shown)),
    )


def _scans(images: Sequence[T], name_of: Callable[[T], str]) -> list[T]:
    """Return the images that are no label or macro image by their name; where all may be one, its end decides."""
    scans = [image for image in images if _MAY_BE_NO_SCAN.search(name_of(image)) is None]
    return scans or [image for image in images if _IS_NO_SCAN.search(name_of(image)) is None]


def _pages(described: OmeImage, images: Sequence[StoredImage]) -> list[StoredImage]:
    """Return the pages of an image's channels, or one that has them all; none if one is not in the file."""
    places = [page for page in described.planes if page is not None and page < len(images)]
    first = images[places[0]] if places and places[0] == described.planes[0] else None
    if first is not None and first.samples == sum(channel.samples for channel in described.channels):
        return [first]
    return [images[page] for page in places] if len(places) == len(described.planes) else []


def _colour_planes(path: Path, described: OmeImage, pages: list[StoredImage]) -> list[StoredImage]:
    """Return where red, green and blue lie: in one page, in the planes of one, or in three pages."""
    names = tuple(channel.name for channel in described.channels if channel.name)
    kind = kind_of_image(pages[0])
    if len(pages) == 1 and kind.channels == 3:
        in_colour = kind.in_colour or described.channels[0].samples == 3 or _are_rgb(described.channels)
        require_colour(path, replace(kind, in_colour=in_colour, names=names))
        return pages[0].planes()
    if len(pages) == 1:
        require_colour(path, kind)
        return pages[0].planes()
    of_one_kind = all(
        (page.size, page.bits, page.tile_size) == (pages[0].size, (8,), pages[0].tile_size) for page in pages
    )
    in_colour = len(pages) == 3 and of_one_kind and _are_rgb(described.channels)
    require_colour(path, replace(kind, channels=len(pages) * kind.channels, in_colour=in_colour, names=names))
    return pages


def _are_rgb(channels: Sequence[OmeChannel]) -> bool:
    """Return whether three channels may be red, green and blue: nothing in their names, colours or light says other."""
    colours = tuple(channel.colour for channel in channels)
    told_colours = None not in colours and len(set(colours)) > 1
    if len(channels) != 3 or any(channel.emits for channel in channels) or (told_colours and colours != _RGB):
        return False
    words = [{*re.split(r"[\W\d_]+", channel.name.lower())} for channel in channels]
    in_order = all(said & {*known} for said, known in zip(words, _RGB_NAMES, strict=True))
    return in_order or all(_NO_NAME.fullmatch(channel.name) for channel in channels)


def _recorded(described: OmeImage, page: StoredImage) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Return the µm/px of an OME-TIFF, and what a user should know of it."""
    x_mpp, y_mpp = described.mpp
    if math.isnan(x_mpp) or math.isnan(y_mpp):
        x_mpp = y_mpp = x_mpp if math.isnan(y_mpp) else y_mpp
    if math.isnan(x_mpp):
        return page.mpp, ()
    if described.size != page.size:
        said = f"{described.size[0]} × {described.size[1]} px at {x_mpp:.4g} µm/px"
        here = f"{page.size[0]} × {page.size[1]} px"
        return None, (f"its OME-XML describes {said}, but the file holds {here}; that µm/px is not used",)
    by_tags = page.mpp
    if by_tags is not None and is_sane(by_tags[0]) and abs(by_tags[0] - x_mpp) > CONFLICT * x_mpp:
        note = f"its OME-XML records {x_mpp:.4g} µm/px, its TIFF resolution {by_tags[0]:.4g}; the OME-XML's is used"
        return (x_mpp, y_mpp), (note,)
    return (x_mpp, y_mpp), ()


def _copies(images: Sequence[StoredImage], scan: StoredImage) -> list[StoredImage]:
    """Return the smaller copies that follow a scan, up to the next image that may have copies of its own."""
    copies = []
    for image in images[images.index(scan) + 1 :]:
        if image.reduced:
            copies.append(image)
        elif image.tiled or 4 * math.prod(image.size) > math.prod(scan.size):
            break
    return copies


def _pyramid(planes: list[StoredImage], copies: Sequence[StoredImage]) -> list[list[StoredImage]]:
    """Return the levels of a scan: itself, and of its smaller copies those stored in the same colours."""
    whole = planes[0]
    found: dict[tuple[int, int], list[StoredImage]] = {}
    if len(planes) > 1 and not copies:
        for below in zip(*(plane.below for plane in planes), strict=False):
            shapes = {(image.size, image.tile_size) for image in below}
            if len(shapes) == 1 and all(_alike(image, whole) for image in below):
                found.setdefault(below[0].size, list(below))
    for image in copies:
        parts = image.planes()
        if len(parts) == len(planes) and _alike(parts[0], whole):
            found.setdefault(image.size, parts)
    fitting = [size for size in found if is_level_of(whole.size, size)]
    return [planes, *(found[size] for size in sorted(fitting, reverse=True))]


def _alike(image: StoredImage, whole: StoredImage) -> bool:
    by_palette = BY_PALETTE in (image.photometric, whole.photometric)  # of which each level has its own
    return kind_of_image(image) == kind_of_image(whole) and (not by_palette or image.photometric == whole.photometric)


def _title(image: StoredImage) -> str:
    """Return what names an image: its page's name, its type as Akoya writes it, or how its description begins."""
    kind = _AKOYA_TYPE.search(image.said[:_HEAD_CHARACTERS])
    lines = [kind[1]] if kind else image.said[:_HEAD_CHARACTERS].strip().splitlines()
    return " ".join((image.page_name or next(iter(lines), "")).split())[:60]


def _others(shown: Sequence[str]) -> tuple[str, ...]:
    if not shown:
        return ()
    more = f" and {len(shown) - _MOST_NAMED} more" if len(shown) > _MOST_NAMED else ""
    return (f"the file holds other images, which are not read: {', '.join(shown[:_MOST_NAMED])}{more}",)
