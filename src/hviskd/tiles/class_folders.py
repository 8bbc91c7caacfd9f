"""Finds the images below a folder, and takes class, split and patient from the names of their folders."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hviskd.errors import DataError
from hviskd.file_names import PICTURE_SUFFIXES
from hviskd.tiles.layouts import LEFT_BY_SYSTEMS, Layout, breakhis_place, example_of, split_of
from hviskd.tiles.rows import UNKNOWN_SOURCE, TileSource

_SHOWN = 3


@dataclass(frozen=True)
class Picture:
    """An image file.

    Attributes:
        path: Its path.
        file: Its path below the imported folder, with `/`.
        class_name: Its class.
        split: Its split, if its folders tell.
        source: Slide and patient, if its folders tell.
    """

    path: Path
    file: str
    class_name: str
    split: str | None
    source: TileSource = UNKNOWN_SOURCE


def find_pictures(
    folder: Path, classes: Sequence[str] | None, layout: Layout | None = None
) -> tuple[list[Picture], int]:
    """List all images in class folders, at any depth, sorted by `file`; count the other files among them.

    Hidden files and folders, and those that operating systems leave in archives, are skipped.

    Args:
        folder: Where they are.
        classes: The classes there may be; by default whatever the folders are called.
        layout: What each level of folders stands for; by default classes, perhaps below splits. The tree of BreakHis
            is recognised by its file names.

    Raises:
        DataError: The folders do not tell the class of every image, or a class is in other splits but not in train.
    """
    if layout is not None:
        pictures, others = _laid_out(folder, layout)
    elif (first := next(filter(_is_picture, _files(folder)), None)) and breakhis_place(first.name):
        pictures, others = _of_breakhis(folder)
    else:
        pictures, others = _in_class_folders(folder, classes)
    if not pictures:
        raise DataError(f"{folder}: has no class folders; put the images of each class into a folder of that name")
    for name in sorted({picture.class_name for picture in pictures}):
        _check_class(name, folder / name, classes)
    _require_in_train(folder, pictures)
    return sorted(pictures, key=lambda picture: picture.file), others


def _check_class(name: str, place: Path, classes: Sequence[str] | None) -> None:
    if not name.isprintable():
        raise DataError(f"{name_below(place.parent, place)}: the class name has unreadable characters; rename it")
    if classes is not None and name not in classes:
        raise DataError(f"{place}: not one of the classes {', '.join(classes)}; add it or move it elsewhere")


def _in_class_folders(folder: Path, classes: Sequence[str] | None) -> tuple[list[Picture], int]:
    """List the images in `CLASS` or `SPLIT/CLASS`."""
    pictures: list[Picture] = []
    others = 0
    for split, top in _split_folders(folder):
        for class_folder in _folders(top):
            _check_class(class_folder.name, class_folder, classes)
            found, strange = pictures_below(class_folder)
            if found and all(path.parent != class_folder for path in found) and _folders(class_folder):
                raise DataError(_nested(class_folder, _folders(top), split))
            if not found:
                raise DataError(f"{class_folder}: contains no JPEG, PNG, TIFF or WebP images; add some or remove it")
            others += strange
            pictures += [Picture(path, name_below(folder, path), class_folder.name, split) for path in found]
    return pictures, others


def _laid_out(folder: Path, layout: Layout) -> tuple[list[Picture], int]:
    """List the images that a layout describes; those in other folders count as other files."""
    found, others = pictures_below(folder)
    pictures = []
    for path in found:
        place = layout.place(path.relative_to(folder).parent.parts)
        if place is None:
            others += 1
            continue
        split = None
        if place.split is not None and (split := split_of(place.split)) is None:
            raise DataError(f"{name_below(folder, path)}: {place.split} is not a split; name it train, val or test")
        pictures.append(Picture(path, name_below(folder, path), place.class_name, split, place.source))
    if not pictures:
        raise DataError(f"{folder}: no image in it is in folders as `layout={layout.text!r}` describes them")
    return pictures, others


def _of_breakhis(folder: Path) -> tuple[list[Picture], int]:
    """List the images of the BreakHis data set, whose file names tell class, slide and magnification."""
    found, others = pictures_below(folder)
    pictures, magnifications = [], set()
    for path in found:
        if (place := breakhis_place(path.name)) is None:
            raise DataError(f"{name_below(folder, path)}: is among files of BreakHis but is not one; move it elsewhere")
        pictures.append(Picture(path, name_below(folder, path), place.class_name, None, place.source))
        magnifications.add(place.magnification)
    if len(magnifications) > 1:
        several = ", ".join(sorted(magnifications, key=lambda name: int(name[:-1])))
        raise DataError(
            f"{folder}: images at {several}, but the tiles of a TileSet have one scale; choose one, for example with "
            "`layout='class/*/*/patient/40X'`"
        )
    return pictures, others


def _split_folders(folder: Path) -> list[tuple[str | None, Path]]:
    """Return split and path of the folders that contain class folders; without split folders, `folder` itself."""
    inner = _folders(folder)
    splits: dict[str, Path] = {}
    for place in inner:
        split = split_of(place.name)
        if split in splits:
            raise DataError(f"{folder}: both {splits[split].name} and {place.name} mean {split}; keep only one")
        if split is not None:
            splits[split] = place
    if splits and len(splits) < len(inner):
        strange = next(place.name for place in inner if place not in splits.values())
        raise DataError(
            f"{folder}: {strange} is beside split folders but is not one; name it train, val or test, or move it "
            "elsewhere"
        )
    return list(splits.items()) if splits else [(None, folder)]


def _nested(class_folder: Path, beside: Sequence[Path], split: str | None) -> str:
    """Say what to do about a folder that has folders where images were expected."""
    inside = [place.name for place in _folders(class_folder)]
    layout = ("split/" if split else "") + example_of(
        inside, [[p.name for p in _folders(other)] for other in beside if other != class_folder]
    )
    return (
        f"{class_folder}: has folders ({', '.join(inside[:_SHOWN])}), not images; if these are the classes, import "
        f"{class_folder}, otherwise say what each level of folders is, for example `layout={layout!r}`"
    )


def _require_in_train(folder: Path, pictures: Sequence[Picture]) -> None:
    """Reject a class without training images; a folder without any train split is for testing and may pass."""
    splits_of = defaultdict(set)
    for picture in pictures:
        splits_of[picture.class_name].add(picture.split)
    if not any("train" in splits for splits in splits_of.values()):
        return
    for name, splits in sorted(splits_of.items()):
        if "train" not in splits:
            where = " and ".join(sorted(str(split) for split in splits))
            raise DataError(f"{folder}: class {name} is only in {where}; move some of it to train, or remove it")


def pictures_below(folder: Path) -> tuple[list[Path], int]:
    """Return the images at any depth, in the order of their names folder by folder, and the number of other files.

    Hidden files and folders, and those that operating systems leave in archives, are skipped.
    """
    found: list[Path] = []
    others = 0
    for path in _files(folder):
        if _is_picture(path):
            found.append(path)
        else:
            others += 1
    return found, others


def _files(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not _passed_over(name))
        yield from (Path(where, name) for name in sorted(names))


def _folders(folder: Path) -> list[Path]:
    return sorted(place for place in folder.iterdir() if place.is_dir() and not _passed_over(place.name))


def _passed_over(name: str) -> bool:
    return name.startswith(".") or name in LEFT_BY_SYSTEMS


def _refuse(error: OSError) -> None:
    """Raise the errors that os.walk ignores: an unreadable folder is not an empty one."""
    raise error


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def name_below(folder: Path, path: Path) -> str:
    """Return the path below `folder` as text; bytes that are not UTF-8 become `?`, since no table can hold them."""
    return path.relative_to(folder).as_posix().encode("utf-8", "replace").decode()
