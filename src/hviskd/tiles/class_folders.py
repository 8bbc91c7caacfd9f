"""Finds the images below a folder, and takes class and split from the names of their folders."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hviskd.errors import DataError
from hviskd.file_names import PICTURE_SUFFIXES

_SPLIT_FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class Picture:
    """One image file: its path, its path below the imported folder (with `/`), its class, and its split if any."""

    path: Path
    file: str
    class_name: str
    split: str | None


def find_pictures(folder: Path, classes: Sequence[str] | None) -> tuple[list[Picture], int]:
    """List all images in class folders, at any depth, sorted by `file`; count the other files among them.

    Names that start with a dot are passed over.

    Raises:
        DataError: There are no class folders, split folders and others stand side by side, a class folder holds no
            picture or is not among `classes`, or a class stands in other splits but not in train.
    """
    pictures: list[Picture] = []
    others = 0
    for split, top in _split_folders(folder):
        for class_folder in _folders(top):
            if not class_folder.name.isprintable():
                raise DataError(f"{_below(folder, class_folder)}: the class name has unreadable characters; rename it")
            if classes is not None and class_folder.name not in classes:
                raise DataError(
                    f"{class_folder}: not one of the classes {', '.join(classes)}; add it or move it elsewhere"
                )
            files = [Path(where, name) for where, _, names in os.walk(class_folder, onerror=_refuse) for name in names]
            found = [path for path in files if _is_picture(path)]
            inside = [path.name for path in _folders(class_folder)]
            if found and inside and all(path.parent != class_folder for path in found):
                raise DataError(
                    f"{class_folder}: has folders ({', '.join(inside[:3])}), not images; if these are the classes, "
                    f"import {class_folder}"
                )
            if not found:
                raise DataError(f"{class_folder}: contains no JPEG, PNG, TIFF or WebP images; add some or remove it")
            others += len(files) - len(found)
            pictures += [Picture(path, _below(folder, path), class_folder.name, split) for path in found]
    if not pictures:
        raise DataError(f"{folder}: has no class folders; put the images of each class into a folder of that name")
    _require_in_train(folder, pictures)
    return sorted(pictures, key=lambda picture: picture.file), others


def _split_folders(folder: Path) -> list[tuple[str | None, Path]]:
    """Return split and path of the folders that contain class folders; without split folders, `folder` itself."""
    inner = _folders(folder)
    splits: dict[str, Path] = {}
    for place in inner:
        split = _SPLIT_FOLDERS.get(place.name.lower())
        if split in splits:
            raise DataError(f"{folder}: both {splits[split].name} and {place.name} mean {split}; keep only one")
        if split is not None:
            splits[split] = place
    if splits and len(splits) < len(inner):
        strange = next(place.name for place in inner if place not in splits.values())
        raise DataError(f"{folder}: {strange} is beside split folders but is not one; move it elsewhere or into them")
    return list(splits.items()) if splits else [(None, folder)]


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


def _folders(folder: Path) -> list[Path]:
    return sorted(place for place in folder.iterdir() if place.is_dir() and not place.name.startswith("."))


def _refuse(error: OSError) -> None:
    """Raise the errors that os.walk ignores: an unreadable folder is not an empty one."""
    raise error


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _below(folder: Path, path: Path) -> str:
    """Return the path below `folder` as text; bytes that are not UTF-8 become `?`, since no table can hold them."""
    return path.relative_to(folder).as_posix().encode("utf-8", "replace").decode()
