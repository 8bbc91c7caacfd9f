"""What methods read of a teacher, stored once for every tile and view, so that no training runs the teacher again.

    logits.npy          float32 (N, V, K): N tiles of a split, V views of each
    embedding.npy       (N, V, D), float32 or float16, as the following
    pooled-2.npy        (N, V, C), the mean of stage 2's map; `pooled-last.npy` of the map that the head averages
    regions-2-4.npy     (N, V, C, 4, 4), the same map averaged to 4 × 4
    token-2.npy         (N, V, C), stage 2's class token
    card.json           what all this depends on

An array that is being filled is called `….npy.partial` and grows tile by tile, so that a filling that was killed goes
on where it was; it gets its name when it is complete. One process fills, others wait for it. Rows are read one by one
and not mapped into memory, of which a training so needs no more for a large cache than for a small one.
"""

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from hviskd.arrays import Ints
from hviskd.distillation import Reads, StoredTrace, Trace, pooled_at, regions_at, token_at
from hviskd.errors import DataError
from hviskd.models import InputStep, Model
from hviskd.models.device import tiles_on_cpu
from hviskd.progress import Progress, progress_bar
from hviskd.storage import read_json, write_json, writing_to
from hviskd.tiles import TileSet
from hviskd.tiles.augmentation import vary
from hviskd.training.growing_arrays import GrowingArray, RowReader, partial_bytes
from hviskd.training.varied_views import Views

Precision = Literal["float32", "float16"]
Parts = Mapping[str, Callable[[Trace], Tensor]]  # by the name of their array

_CARD = "card.json"
_TILES_ON_GPU = 64
_CHECKED = 8  # tiles that are compared with the teacher when a cache is opened
_TOLERANCE = {"float32": 1e-3, "float16": 1e-2}  # of the largest value; damage and another teacher differ by far more


@dataclass(frozen=True)
class Source:
    """The tiles that a teacher sees, and how.

    Attributes:
        tileset: The tiles.
        rows: Those of the training, (N,), in its order.
        views: How each is varied.
        told: What the views depend on, for the card.
    """

    tileset: TileSet
    rows: Ints
    views: Views
    told: Mapping[str, Any]


class TeacherCache:
    """The stored answers of one teacher for one split.

    Args:
        home: Folder of all caches; this one's subfolder is named by what it depends on.
        teacher: The teacher.
        source: The tiles.
        reads: What is read of the teacher.
        precision: Of the stored features; logits are always float32.
    """

    def __init__(self, home: Path, teacher: Model, source: Source, reads: Reads, precision: Precision) -> None:
        assert source.views.count is not None
        self.views, self.precision = source.views.count, precision
        self._teacher, self._source, self._reads, self._parts = teacher, source, reads, _parts_of(reads)
        self._card = {
            "format_version": 2,  # 1 had transformers' tokens as their blocks left them
            "teacher": teacher.card.name,
            "weights": teacher.fingerprint,
            "meaning": teacher.card.meaning,
            "tiles": source.tileset.fingerprint,
            "rows": sha256(np.ascontiguousarray(source.rows, np.int64).tobytes()).hexdigest(),
            "views": {"count": self.views, **source.told},
            "precision": precision,
        }
        key = sha256(json.dumps(self._card, sort_keys=True).encode()).hexdigest()[:24]
        self.folder = home / key
        self._open: dict[str, RowReader] = {}
        self._class_weights = teacher.network.head.classifier.weight.detach().float().cpu().clone()

    @property
    def missing(self) -> list[str]:
        """Names of the arrays that are not complete."""
        return [name for name in self._parts if not self._file(name).is_file()]

    @property
    def missing_bytes(self) -> int:
        """How much is still to be written."""
        arrays = self._arrays()
        whole = sum(int(np.prod(arrays[name][0])) * arrays[name][1].itemsize for name in self.missing)
        return max(0, whole - sum(partial_bytes(self._file(name)) for name in self.missing))

    def prepare(self, device: torch.device, progress: Progress | None = None) -> None:
        """Fill what is missing, check a sample against the teacher, and open it for reading.

        Raises:
            DataError: The folder holds something else, is damaged, or was filled by another teacher.
            OutputError: The disk is full, or the folder cannot be written to.
        """
        with writing_to(self.folder, "free some space, or train without the cache"):
            self.folder.mkdir(parents=True, exist_ok=True)
            # What is complete is only read, also from a disk where nothing can be locked.
            with FileLock(self.folder / ".lock") if self.missing else nullcontext():
                self._claim()
                if self.missing:
                    self._fill(device, progress)
        self._open = {name: RowReader(self._file(name), *array) for name, array in self._arrays().items()}
        self._check(device)
        self._teacher.network.to("cpu")  # it leaves a GPU's memory to the student
        self._teacher = self._teacher.hollow()  # and the processor's, unless somebody else holds it

    def read(self, index: Tensor, view: Tensor, device: torch.device) -> StoredTrace:
        """Return what is stored of tiles (B,) in their views (B,), on the device, as float32."""
        places = list(zip(index.tolist(), view.tolist(), strict=True))
        found = {name: torch.from_numpy(rows.read(places)).to(device) for name, rows in self._open.items()}
        return StoredTrace(
            logits=found["logits"],
            class_weights=self._class_weights.to(device),
            vectors={name: found[name] for name in found if name == "embedding"},
            means={place: found[f"pooled-{place}"] for place in self._reads.pooled},
            cells={(place, side): found[f"regions-{place}-{side}"] for place, side in self._reads.regions},
            tokens={stage: found[f"token-{stage}"] for stage in self._reads.tokens},
        )

    def means(self) -> Iterator[Tensor]:
        """Return the means over the last map of all tiles in all views, (n, C) at a time."""
        for chunk in self._open["pooled-last"].chunks():
            yield torch.from_numpy(chunk)

    def close(self) -> None:
        """Close the files."""
        for rows in self._open.values():
            rows.close()
        self._open.clear()

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.npy"

    def _arrays(self) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
        """Return shape and type of each array, without running the network."""
        tile_px = self._source.tileset.tile_px
        with torch.no_grad():
            trace = self._teacher.network.hollow().trace(torch.empty(1, 3, tile_px, tile_px, device="meta"))
        front = len(self._source.rows), self.views
        kinds = {name: np.dtype("float32" if name == "logits" else self.precision) for name in self._parts}
        return {name: ((*front, *part(trace).shape[1:]), kinds[name]) for name, part in self._parts.items()}

    def _claim(self) -> None:
        path = self.folder / _CARD
        if not path.is_file():
            write_json(path, self._card)
        elif read_json(path) != self._card:
            raise DataError(f"{self.folder}: this cache belongs to other tiles or another teacher; delete the folder")

    def _fill(self, device: torch.device, progress: Progress | None) -> None:
        """Append to the missing arrays, from the first tile that any of them lacks."""
        missing, arrays, count = self.missing, self._arrays(), len(self._source.rows)
        size = f"{self.missing_bytes / 2**20:,.0f} MiB"
        with ExitStack() as stack:
            growing = {name: stack.enter_context(GrowingArray(self._file(name), *arrays[name])) for name in missing}
            for array in growing.values():
                array.tidy()
            done = min(array.rows for array in growing.values())
            on_cpu = tiles_on_cpu(self._source.tileset.tile_px)
            size_of_batch = on_cpu if device.type == "cpu" else _TILES_ON_GPU  # all in one view
            bar = progress_bar(f"store teacher ({size})", count * self.views, progress, done=done * self.views)
            advance = stack.enter_context(bar)
            begun_s = time.monotonic()
            for start in range(done, count, size_of_batch):
                index = torch.arange(start, min(start + size_of_batch, count))
                seen = []
                for view in range(self.views):
                    seen.append(self._run(index, torch.full_like(index, view), missing, device))
                    advance(len(index))
                if start == done and start + size_of_batch < count:  # whoever has no time or disk for it stops here
                    needed = timedelta(seconds=ceil((time.monotonic() - begun_s) * (count - done) / len(index)))
                    advance(0, note=f"{size} on the disk, in about {needed}")
                for name, array in growing.items():
                    content = torch.stack([one[name] for one in seen], dim=1).numpy()
                    array.append(content[max(0, array.rows - start) :])  # some had more rows than others
            for array in growing.values():
                array.finish()

    def _run(self, index: Tensor, view: Tensor, names: Collection[str], device: torch.device) -> dict[str, Tensor]:
        """Run the teacher on tiles (n,) in their views (n,), and return what is stored of it, float32 on the CPU."""
        tiles = torch.from_numpy(self._source.tileset.pixels[self._source.rows[index.numpy()]])
        network = self._teacher.network.to(device).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        step = InputStep(self._teacher.card.normalisation).to(device)
        # TensorFloat-32 would round what a GPU stores more than a CPU that reads it accepts.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            trace = network.trace(step(vary(tiles, self._source.views.at(view, index)).to(device)))
            return {name: self._parts[name](trace).float().cpu() for name in names}

    def _check(self, device: torch.device) -> None:
        """Compare a few tiles, each in one view, with the teacher.

        Raises:
            DataError: They differ.
        """
        rng = np.random.default_rng(len(self._source.rows))
        index = torch.from_numpy(rng.permutation(len(self._source.rows))[:_CHECKED])
        view = torch.from_numpy(rng.integers(self.views, size=len(index)))
        places = list(zip(index.tolist(), view.tolist(), strict=True))
        for name, expected in self._run(index, view, self._parts, device).items():
            stored = torch.from_numpy(self._open[name].read(places))
            most = _TOLERANCE[self.precision] * max(float(expected.abs().max()), 1e-6)
            if not float((stored - expected).abs().max()) <= most:  # so that NaN does not pass
                raise DataError(
                    f"{self._file(name)}: is damaged or of another teacher; delete the folder, or pass `cache=False`"
                )


def _parts_of(reads: Reads) -> Parts:
    """Return the arrays of what methods read, by name, each with how it is taken from a Trace."""
    parts: dict[str, Callable[[Trace], Tensor]] = {"logits": lambda trace: trace.logits}
    if reads.embedding:
        parts["embedding"] = lambda trace: trace.embedding
    for place in sorted(reads.pooled, key=str):
        parts[f"pooled-{place}"] = partial(pooled_at, place=place)
    for place, side in sorted(reads.regions, key=str):
        parts[f"regions-{place}-{side}"] = partial(regions_at, place=place, side=side)
    for stage in sorted(reads.tokens):
        parts[f"token-{stage}"] = partial(token_at, stage=stage)
    return parts
