"""Prepares a slide for a Model: its tissue, the tiles to read, and the stain transfer.

`segment` and cohorts call it, a cohort for the next slide while the one before is still being classified.
"""

import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hviskd.arrays import RGB, Ints
from hviskd.processor import give_back_memory
from hviskd.segmentation.own_scale import at_own_scale, own_scale_notes
from hviskd.segmentation.settings import Request
from hviskd.slides import (
    Slide,
    StainTransfer,
    TileGrid,
    TissueMask,
    fit_slide_stain,
    open_slide,
    stain_transfer,
    tissue_mask,
)
from hviskd.slides.tile_reading import read_tiles
from hviskd.tiles.low_power import at_low_power

THUMBNAIL_PX = 1050  # the most that a panel of the overview shows
_COARSER = 1.01  # a level this little coarser counts as the same


@dataclass
class Stopwatch:
    """Seconds of each stage, by name.

    Attributes:
        seconds: So far.
    """

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the block's time to a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


@dataclass(frozen=True, eq=False)
class PreparedSlide:
    """An open slide with the tiles to classify; close it with `slide.close()`.

    Attributes:
        slide: It.
        request: What is wanted of it, at the slide's own µm/px where that is near enough.
        wanted_mpp: µm/px of the Model's tiles.
        tissue: Where its tissue is.
        row: int32 (N,), grid rows of the tiles, which stand row by row.
        column: int32 (N,), their grid columns.
        x_px: int64 (N,), left edges in level-0 px.
        y_px: int64 (N,), upper edges in level-0 px.
        transfer: The change of stain that the Model's training tiles have seen too; None if they have not.
        thumbnail: The whole slide, RGB uint8, at most 1050 px a side.
        watch: What it took so far.
    """

    slide: Slide
    request: Request
    wanted_mpp: float
    tissue: TissueMask
    row: NDArray[np.int32]
    column: NDArray[np.int32]
    x_px: NDArray[np.int64]
    y_px: NDArray[np.int64]
    transfer: StainTransfer | None
    thumbnail: RGB
    watch: Stopwatch

    def __len__(self) -> int:
        """Return the number of tiles."""
        return len(self.row)

    @property
    def stain(self) -> str:
        """The stain normalisation of the slide."""
        if self.request.card.stain is None or self.transfer is None:
            return "none"
        return "none" if self.transfer.problem else self.request.card.stain.method

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the slide for the user."""
        own_scale = own_scale_notes(self.request.mpp, self.wanted_mpp)
        found = [*self.slide.notes, *self.tissue.notes, *own_scale]
        if self.request.icc != self.request.card.icc:
            done = "applied" if self.request.icc else "not applied"
            found.append(f"ICC colour profile {done}, unlike for the model's training tiles")
        if self.transfer is not None and self.transfer.problem:
            found.append(f"stain not normalised, unlike the model's training tiles: {self.transfer.problem}")
        if not len(self) and self.tissue.tissue.any():
            found.append(f"no tile has at least {self.request.min_tissue:.0%} tissue")
        return tuple(found)

    def batches(
        self, batch_size: int, workers: int, *, which: Ints | None = None, low_power: bool = False
    ) -> Generator[tuple[Ints, RGB], None, None]:
        """Read tiles in threads, and yield them in full batches, except the last; once closed, stop reading.

        Args:
            batch_size: Tiles of a batch.
            workers: Threads that read.
            which: Positions of the tiles; all if not given.
            low_power: Read half the px at twice the µm/px.

        Yields:
            Positions (B,), and their tiles, uint8 (B, tile_px, tile_px, 3); each position once.

        Raises:
            DataError: The slide is damaged.
        """
        which = np.arange(len(self)) if which is None else which
        tile_px, mpp = self.request.card.tile_px, self.request.mpp
        side = tile_px // 2 if low_power else tile_px
        shrink = low_power and not self._reads_low_power
        if low_power and not shrink:
            tile_px, mpp = side, 2 * mpp

        def seen(places: Ints, tiles: RGB) -> tuple[Ints, RGB]:
            tiles = at_low_power(tiles) if shrink else tiles  # first, for stain is costly and the order changes little
            return which[places], tiles if self.transfer is None else self.transfer(tiles, out=tiles)

        pending: list[tuple[Ints, RGB]] = []
        count = 0
        x_px, y_px = self.x_px[which], self.y_px[which]
        stacks = read_tiles(self.slide, x_px, y_px, tile_px=tile_px, mpp=mpp, threads=workers, then=seen)
        for stack in stacks:
            pending.append(stack)
            count += len(stack[0])
            if count < batch_size:
                continue
            places, tiles = map(np.concatenate, zip(*pending, strict=True))
            whole = count - count % batch_size
            for start in range(0, whole, batch_size):
                yield places[start : start + batch_size], tiles[start : start + batch_size]
            pending, count = [(places[whole:], tiles[whole:])], count - whole
        if count:
            places, tiles = map(np.concatenate, zip(*pending, strict=True))
            yield places, tiles

    @property
    def _reads_low_power(self) -> bool:
        """Whether to read low power from the slide, and not full power to be averaged as for training.

        That is cheaper where a coarser level has it, or where full power would have to be resampled, too. Otherwise a
        neighbourhood of tiles is read at once and as it is.
        """
        slide, mpp = self.slide, self.request.mpp
        if not math.isclose(mpp, slide.mpp, rel_tol=1e-6):
            return True
        return any(_COARSER < level.downsample <= 2 * _COARSER for level in slide.levels)


def prepare_slide(
    path: Path, request: Request, *, slide_mpp: float | None = None, when_open: Callable[[], None] = lambda: None
) -> PreparedSlide:
    """Open a slide, detect its tissue and the tiles on it, and fit its stain if the Model needs it.

    Args:
        path: The file.
        request: What is wanted of it.
        slide_mpp: µm a level-0 px, where the file does not say or says it wrongly.
        when_open: Called as soon as the slide proves fit, before its tissue is sought.

    Raises:
        DataError: The slide is damaged, has no µm/px, is much coarser than the Model's tiles, or smaller than one.
    """
    watch = Stopwatch()
    with watch.stage("open"):
        slide = open_slide(path, slide_mpp=slide_mpp, icc=request.icc)
    wanted_mpp = request.mpp
    try:
        request = at_own_scale(request, slide)
        with watch.stage("open"):
            slide.verify()
            grid = TileGrid.on(slide, tile_px=request.card.tile_px, mpp=request.mpp, stride_px=request.stride_px)
            when_open()
            thumbnail = slide.thumbnail(THUMBNAIL_PX)
        with watch.stage("tissue"):
            tissue = tissue_mask(slide, request.tissue)
            x_px, y_px = grid.places_px()
            share = tissue.share(x_px[None, :], y_px[:, None], grid.tile0_px)
            row, column = np.nonzero(share >= request.min_tissue)
        give_back_memory()
        with watch.stage("stain"):
            transfer = fit_transfer(slide, tissue, request) if len(row) else None
    except BaseException:
        slide.close()
        raise
    return PreparedSlide(
        slide=slide,
        request=request,
        wanted_mpp=wanted_mpp,
        tissue=tissue,
        row=row.astype(np.int32),
        column=column.astype(np.int32),
        x_px=x_px[column],
        y_px=y_px[row],
        transfer=transfer,
        thumbnail=thumbnail,
        watch=watch,
    )


def fit_transfer(slide: Slide, tissue: TissueMask, request: Request) -> StainTransfer | None:
    """Return the change of stain that the Model's training tiles have seen, fitted to a slide; None if none."""
    reference = request.card.stain
    if reference is None:
        return None
    return stain_transfer(fit_slide_stain(slide, tissue, method=reference.method, mpp=request.mpp), reference)
