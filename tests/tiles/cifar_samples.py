"""A tiny CIFAR-100: the same three files, pickled operation by operation as Python 2 did it, in the same archive."""

import io
import struct
import tarfile
from pathlib import Path

import numpy as np

FINE = ("apple", "bear", "chair", "whale")
COARSE = ("living", "made")


def python_2_pickle(value: object) -> bytes:
    """Protocol 2 as cPickle of Python 2 wrote it: byte strings, memo numbers from 1, numpy by its old names."""
    memo = iter(range(1, 10**6))

    def put() -> bytes:
        number = next(memo)
        return b"q" + bytes([number]) if number < 256 else b"r" + struct.pack("<I", number)

    def write(value: object) -> bytes:
        match value:
            case None:
                return b"N"
            case bool():
                return b"\x88" if value else b"\x89"
            case int() if 0 <= value < 256:
                return b"K" + bytes([value])
            case int() if 0 <= value < 65536:
                return b"M" + struct.pack("<H", value)
            case int():
                return b"J" + struct.pack("<i", value)
            case str() if len(value) < 256:
                return b"U" + bytes([len(value)]) + value.encode("latin-1") + put()
            case bytes():
                return b"T" + struct.pack("<i", len(value)) + value + put()
            case tuple():
                return b"(" + b"".join(map(write, value)) + b"t" + put()
            case list():
                return b"]" + put() + b"(" + b"".join(map(write, value)) + b"e"
            case dict():
                return b"}" + put() + b"(" + b"".join(write(part) for pair in value.items() for part in pair) + b"u"
            case np.ndarray():
                empty = b"cnumpy.core.multiarray\n_reconstruct\n" + put() + b"cnumpy\nndarray\n" + put()
                empty += write((0,)) + write("b") + b"\x87" + put() + b"R" + put()
                kind = (
                    b"cnumpy\ndtype\n" + put() + write(value.dtype.str[1:]) + b"K\x00K\x01\x87" + put() + b"R" + put()
                )
                kind += write((3, "|", None, None, None, -1, -1, 0)) + b"b"
                state = b"(K\x01" + write(value.shape) + kind + b"\x89" + write(value.tobytes()) + b"t" + put()
                return empty + state + b"b"
        raise TypeError(type(value))

    return b"\x80\x02" + write(value) + b"."


def pictures(count: int, seed: int) -> np.ndarray:
    """uint8 (count, 32, 32, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def part(images: np.ndarray, labels: list[int]) -> dict[str, object]:
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    return {
        "filenames": [f"photo_s_{number:06d}.png" for number in range(len(images))],
        "batch_label": "a batch",
        "fine_labels": labels,
        "coarse_labels": [label // 2 for label in labels],
        "data": np.ascontiguousarray(planes),
    }


def write_cifar(folder: Path, *, train=None, test=None, **replaced: bytes) -> Path:
    """Write `cifar-100-python` below `folder`: 80 train and 20 test pictures of 4 classes, or those given."""
    inner = folder / "cifar-100-python"
    inner.mkdir(parents=True)
    contents = {
        "train": python_2_pickle(train or part(pictures(80, 1), [number % 4 for number in range(80)])),
        "test": python_2_pickle(test or part(pictures(20, 2), [number % 4 for number in range(20)])),
        "meta": python_2_pickle({"fine_label_names": list(FINE), "coarse_label_names": list(COARSE)}),
    }
    for name, content in (contents | replaced).items():
        (inner / name).write_bytes(content)
    return inner


def write_binary_cifar(folder: Path, **replaced: bytes) -> Path:
    """Write `cifar-100-binary` below `folder`, with the pictures of `write_cifar`."""
    inner = folder / "cifar-100-binary"
    inner.mkdir(parents=True)

    def records(images: np.ndarray) -> bytes:
        planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        fine = np.arange(len(images)) % 4
        return np.column_stack([fine // 2, fine, planes]).astype(np.uint8).tobytes()

    contents = {
        "train.bin": records(pictures(80, 1)),
        "test.bin": records(pictures(20, 2)),
        "fine_label_names.txt": "\n".join((*FINE, "")).encode(),
        "coarse_label_names.txt": "\n".join((*COARSE, "")).encode(),
    }
    for name, content in (contents | replaced).items():
        (inner / name).write_bytes(content)
    return inner


def pack(inner: Path, archive: Path, mode: str = "w:gz") -> Path:
    """Put the folder into an archive, with the stray file that the original has."""
    with tarfile.open(archive, mode) as stream:
        stream.add(inner, arcname=inner.name)
        stray = tarfile.TarInfo(f"{inner.name}/file.txt~")
        stray.size = 4
        stream.addfile(stray, io.BytesIO(b"note"))
    return archive
