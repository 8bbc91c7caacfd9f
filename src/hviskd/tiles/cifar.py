"""Makes a TileSet from a local copy of CIFAR-100.

It is what distillation methods are compared on. Its photographs are of no patient, and the card says so.
"""

import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hviskd.checks import require_at_least
from hviskd.errors import DataError
from hviskd.progress import Progress, progress_bar
from hviskd.tiles.card import Origin
from hviskd.tiles.cifar_files import read_cifar_files
from hviskd.tiles.plain_pickle import read_plain_pickle
from hviskd.tiles.rows import SplitRecord
from hviskd.tiles.splitting import draw_splits
from hviskd.tiles.tileset import TileSet, digest_of
from hviskd.tiles.writing import TileSetWriter, new_card

_SIDE_PX = 32
_NPZ_LIMIT_BYTES = 2**31
_NPZ_NAMES = ("images", "labels", "classes", "test_images", "test_labels")  # the first three there must be

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class _Photographs:
    """The content of an archive.

    Attributes:
        classes: Their names, by label.
        parts: For `train`, and for `test` if there is one: images, uint8 (N, side, side, 3), and labels, (N,).
    """

    classes: tuple[str, ...]
    parts: dict[str, tuple[Images, Labels]]


def import_cifar(
    archive: Path | str,
    output: Path | str,
    *,
    coarse: bool = False,
    val: float = 0.1,
    seed: int = 0,
    licence: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> TileSet:
    """Make a TileSet from CIFAR-100: its test split unchanged, and a validation split drawn from its training split.

    The pictures of val are drawn class by class. A train picture that is a test picture to the byte is left out,
    counted and named. Pictures are called by their split and number in the archive, as `train/00017`.

    Args:
        archive: `cifar-100-python.tar.gz` or `cifar-100-binary.tar.gz`, the folder it unpacks to, or an `.npz` with
            `images`, uint8 (N, side, side, 3), `labels`, integers (N,), `classes`, their names, and perhaps
            `test_images` and `test_labels`.
        output: Where the TileSet shall stand.
        coarse: Take the 20 superclasses instead of the 100 classes.
        val: Share of the train pictures that becomes val, of every class.
        seed: Of that draw.
        licence: The pictures' licence, in words; CIFAR's authors state none.
        overwrite: Replace a TileSet that stands at `output`.
        progress: Called with done, total and what is being done; a bar by default.

    Raises:
        DataError: The archive is missing, damaged or something else; nothing new is left at `output` then.
    """
    archive, output = Path(archive), Path(output)
    if not (math.isfinite(val) and 0 <= val < 1):
        raise DataError(f"`val={val}`: must be a share of at least 0 and below 1")
    require_at_least(0, seed=seed)
    if not archive.exists():
        raise DataError(f"{archive}: no such file or folder")
    if archive.is_file() and zipfile.is_zipfile(archive):
        photographs = _read_npz(archive, coarse)
    else:
        files = read_cifar_files(archive)
        photographs = (_read_binary if "train.bin" in files else _read_pickles)(files, archive, coarse)
    split_record: SplitRecord = {"by": "random", "seed": seed, "val": val}
    if "test" in photographs.parts:
        split_record |= {"keep_test": True, "test_by": "archive"}
    options = {"coarse": coarse, "val": val, "seed": seed}
    origin = Origin(verb="tiles import-cifar", source=str(archive), options=options, licence=licence, photographs=True)
    card = new_card(photographs.classes, tile_px=photographs.parts["train"][0].shape[1], origin=origin)
    with TileSetWriter(output, card, split_record=split_record, overwrite=overwrite) as writer:
        _write(writer, photographs, val, seed, progress)
    return TileSet.open(output)


def _write(writer: TileSetWriter, photographs: _Photographs, val: float, seed: int, progress: Progress | None) -> None:
    """Write train, val and test, without the training images that are also in test."""
    digests = {split: [digest_of(image) for image in images] for split, (images, _) in photographs.parts.items()}
    doubles = set(digests.get("test", ()))
    kept = np.array([number for number, digest in enumerate(digests["train"]) if digest not in doubles], dtype=np.int64)
    if not len(kept):
        raise DataError("every training image is also a test image; use the original archive")
    pictures = pd.factorize(np.array(digests["train"])[kept])[0]
    fractions = np.array([1 - val, val] if val else [1.0])
    drawn = draw_splits(pictures, photographs.parts["train"][1][kept], fractions, seed)
    train_splits = dict(zip(kept.tolist(), drawn.tolist(), strict=True))
    with progress_bar("importing", sum(map(len, digests.values())), progress) as advance:
        for part, (images, labels) in photographs.parts.items():
            for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
                advance()
                file = f"{part}/{number:05d}"
                if part == "train" and number not in train_splits:
                    writer.drop("identical to a test image", file)
                    continue
                split = "val" if part == "train" and train_splits[number] else part
                writer.add(image, file=file, class_name=photographs.classes[label], split=split)


def _read_pickles(files: dict[str, bytes], archive: Path, coarse: bool) -> _Photographs:
    """Read the Python version of CIFAR-100: `train`, `test` and `meta`, each a pickled dictionary."""
    kind = "coarse" if coarse else "fine"
    meta = read_plain_pickle(files.pop("meta"), f"{archive}: meta")
    classes = _names(meta.get(f"{kind}_label_names"), f"{archive}: meta")
    parts = {}
    for part in ("train", "test"):
        where = f"{archive}: {part}"
        content = read_plain_pickle(files.pop(part), where)
        data, labels = content.get("data"), content.get(f"{kind}_labels")
        if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != 3 * _SIDE_PX**2:
            raise DataError(f"{where}: contains no images of {_SIDE_PX} × {_SIDE_PX} px; use the original archive")
        parts[part] = _images(data), _labels(labels, len(data), len(classes), where)
    return _Photographs(classes, parts)


def _read_binary(files: dict[str, bytes], archive: Path, coarse: bool) -> _Photographs:
    """Read the binary version of CIFAR-100: for each image two labels, coarse before fine, and its three planes."""
    kind, column = ("coarse", 0) if coarse else ("fine", 1)
    names_file = f"{kind}_label_names.txt"
    names = files[names_file].decode("utf-8", "replace").split("\n")
    classes = _names([name.strip() for name in names if name.strip()], f"{archive}: {names_file}")
    parts = {}
    for part in ("train", "test"):
        where = f"{archive}: {part}.bin"
        records = np.frombuffer(files.pop(f"{part}.bin"), np.uint8)
        if len(records) % (2 + 3 * _SIDE_PX**2):
            raise DataError(f"{where}: contains no images of {_SIDE_PX} × {_SIDE_PX} px; use the original archive")
        records = records.reshape(-1, 2 + 3 * _SIDE_PX**2)
        labels = records[:, column].tolist()
        parts[part] = _images(records[:, 2:]), _labels(labels, len(records), len(classes), where)
    return _Photographs(classes, parts)


def _images(planes: NDArray[np.uint8]) -> Images:
    """Convert rows of three planes each, red, green and blue, to images (N, side, side, 3)."""
    return planes.reshape(-1, 3, _SIDE_PX, _SIDE_PX).transpose(0, 2, 3, 1)


def _read_npz(archive: Path, coarse: bool) -> _Photographs:
    """Read images, labels and class names from a user's .npz file."""
    if coarse:
        raise DataError(f"{archive}: has only one kind of labels; omit `coarse=True`, or import the original archive")
    try:
        with zipfile.ZipFile(archive) as entries:
            if sum(entry.file_size for entry in entries.infolist()) > _NPZ_LIMIT_BYTES:
                raise DataError(f"{archive}: more than 2 GiB unpacked, so not CIFAR-100")
        with np.load(archive, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in _NPZ_NAMES if name in stored}
    except (OSError, ValueError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{archive}: not a readable .npz file ({error}); save it again") from error
    missing = [name for name in _NPZ_NAMES[:3] if name not in arrays]
    if missing:
        raise DataError(f"{archive}: lacks {' and '.join(missing)}; save it with {', '.join(_NPZ_NAMES)}")
    classes = _names(arrays["classes"].tolist(), f"{archive}: classes")
    parts = {"train": _pair(arrays, "", classes, archive)}
    if "test_images" in arrays:
        parts["test"] = _pair(arrays, "test_", classes, archive)
        if parts["test"][0].shape[1:] != parts["train"][0].shape[1:]:
            raise DataError(f"{archive}: test_images and images have different sizes; make them equal")
    return _Photographs(classes, parts)


def _pair(
    arrays: dict[str, NDArray[Any]], prefix: str, classes: tuple[str, ...], archive: Path
) -> tuple[Images, Labels]:
    images, labels = arrays[f"{prefix}images"], arrays.get(f"{prefix}labels")
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or images.shape[1] != images.shape[2]:
        raise DataError(f"{archive}: {prefix}images: {images.dtype} {images.shape}, need uint8 (N, side, side, 3)")
    given = None if labels is None else labels.tolist()
    return images, _labels(given, len(images), len(classes), f"{archive}: {prefix}labels")


def _names(names: object, where: str) -> tuple[str, ...]:
    if not isinstance(names, list) or len(names) < 2 or not all(isinstance(name, str) for name in names):
        raise DataError(f"{where}: has no class names; use the original file")
    return tuple(names)


def _labels(labels: object, count: int, classes: int, where: str) -> Labels:
    """Check that there is one label per image, each that of a class."""
    if not isinstance(labels, list) or len(labels) != count or not count:
        raise DataError(f"{where}: does not have one label per image; use the original file")
    if not all(isinstance(label, int) and 0 <= label < classes for label in labels):
        raise DataError(f"{where}: labels must be integers from 0 to {classes - 1}; use the original file")
    return np.array(labels, dtype=np.int64)
