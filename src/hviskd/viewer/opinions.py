"""What maps and Models say of one place of a slide: the tile there, its class probabilities, and where a Model looked.

A Model that has a map of the slide answers from it, and computes only what the map lacks.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hviskd.arrays import RGB, Bools, Floats32
from hviskd.errors import DataError
from hviskd.models import AnyModel, ModelCard, find_model, load_model
from hviskd.segmentation import MapSettings, SlideMap
from hviskd.segmentation.own_scale import at_own_scale
from hviskd.segmentation.preparing import fit_transfer
from hviskd.segmentation.settings import Request
from hviskd.slides import Slide, StainTransfer, TileGrid, tissue_mask
from hviskd.viewer.map_shelf import MapShelf, ShelfMap
from hviskd.viewer.shelf import OpenSlides, ShelfSlide

if TYPE_CHECKING:
    from hviskd.models import Model


class Spot(NamedTuple):
    """A tile of a slide's grid: its place on the grid, its corner and side in level-0 px, its px and µm/px."""

    row: int
    column: int
    x_px: int
    y_px: int
    side0_px: float
    tile_px: int
    mpp: float


@dataclass(frozen=True)
class Opinion:
    """Whose answer it is: a map's, a Model's, or a map's whose Model is there too.

    Attributes:
        name: For readers.
        map: Where a map of the slide is.
        request: What the Model would be asked for; None without the Model.
        place: Of the Model among those given.
    """

    name: str
    map: ShelfMap | None = None
    request: Request | None = None
    place: int = -1

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self._card.classes

    @property
    def colours(self) -> tuple[tuple[int, int, int], ...]:
        """Their colours."""
        return tuple(self._card.colours)

    @property
    def icc(self) -> bool:
        """Whether tiles are converted to sRGB."""
        return self.map.summary.map.icc if self.map is not None else self.request is not None and self.request.icc

    @property
    def _card(self) -> "ModelCard":
        if self.map is not None:
            return self.map.summary.map  # type: ignore[return-value]  # both have classes and colours
        assert self.request is not None
        return self.request.card


class Opinions:
    """Asks maps and Models about places; for any number of threads, of which one at a time computes.

    Raises:
        ModelError: A Model is missing, or does not know its µm/px.
    """

    def __init__(self, slides: OpenSlides, maps: MapShelf, models: Sequence[AnyModel]) -> None:
        self._slides, self._maps = slides, maps
        found = [find_model(model) for model in models]
        self._sources = [source for source, _ in found]
        self._requests = [Request.of(card, MapSettings()) for _, card in found]
        self._models: dict[int, Model] = {}
        self._transfers: dict[tuple[str, int], StainTransfer | None] = {}
        self._lock = threading.RLock()

    def load(self) -> list[str]:
        """Load the Models and what explains them, so that the first question is answered as soon as the others.

        Returns:
            Their names.
        """
        for place, request in enumerate(self._requests):
            blank = np.zeros((request.card.tile_px, request.card.tile_px, 3), np.uint8)
            self._looked(place, blank, 0)
        return [request.card.name for request in self._requests]

    @property
    def models(self) -> "list[tuple[ModelCard, Model | Path]]":
        """The Models' cards, and where they are."""
        return list(zip((request.card for request in self._requests), self._sources, strict=True))

    def folders(self) -> set[Path]:
        """Return the folders that the Models' folders are in."""
        return {source.parent for source in self._sources if isinstance(source, Path)}

    def of(self, which: ShelfSlide) -> list[Opinion]:
        """Return who can be asked about a slide: its maps, then the Models that made none of them."""
        digests = {request.card.weights_sha256: place for place, request in enumerate(self._requests)}
        opinions = []
        for one in self._maps.of(which):
            place = digests.get(one.summary.map.model_fingerprint, -1)
            opinions.append(Opinion(one.name, one, self._requests[place] if place >= 0 else None, place))
        asked = {opinion.place for opinion in opinions}
        for place, request in enumerate(self._requests):
            if place not in asked:
                opinions.append(Opinion(request.card.name, None, request, place))
        return opinions

    def spot(self, which: ShelfSlide, opinion: Opinion, x: float, y: float) -> Spot | None:
        """Return the tile at a place in level-0 px; None where there is no whole one.

        Raises:
            DataError: The slide is damaged, or too coarse for the Model's tiles.
        """
        if opinion.map is not None:
            card = opinion.map.summary.map
            tile_px, mpp, stride_px = card.tile_px, card.mpp, card.stride_px
            grid = TileGrid.over(card.slide_size, card.slide_mpp, tile_px=tile_px, mpp=mpp, stride_px=stride_px)
        else:
            assert opinion.request is not None
            tile_px = opinion.request.card.tile_px
            with self._slides.reading(which) as slide:
                mpp = at_own_scale(opinion.request, slide).mpp
                grid = TileGrid.on(slide, tile_px=tile_px, mpp=mpp)
        column, row = int(x // grid.stride0_px), int(y // grid.stride0_px)
        if not (0 <= column < grid.columns and 0 <= row < grid.rows):
            return None
        x_px, y_px = (int(grid.starts_px(np.array(step))) for step in (column, row))
        return Spot(row, column, x_px, y_px, grid.tile0_px, tile_px, mpp)

    def tile(self, which: ShelfSlide, opinion: Opinion, spot: Spot) -> RGB:
        """Return a tile as its Model reads it; as it is on the slide, where the Model is not there.

        Raises:
            DataError: The slide is damaged.
        """
        with self._slides.reading(which, icc=opinion.icc) as slide:
            pixels = slide.read(spot.x_px, spot.y_px, spot.tile_px, spot.tile_px, spot.mpp)
            transfer = self._transfer(which, opinion, slide)
        return pixels if transfer is None else transfer(pixels)

    def probabilities(self, which: ShelfSlide, opinion: Opinion, spot: Spot) -> tuple[Floats32, bool] | None:
        """Return a tile's class probabilities (K,), and whether they were computed now; None where nobody knows them.

        Raises:
            DataError: The slide or its map is damaged.
            ModelError: The Model is damaged.
        """
        if opinion.map is not None:
            known = _of_tile(self._maps.load(opinion.map), spot)
            if known is not None:
                return known, False
        if opinion.place < 0:
            return None
        tile = self.tile(which, opinion, spot)
        with self._lock:
            return self._model(opinion.place).predict(tile[None])[0], True

    def attention(
        self, which: ShelfSlide, opinion: Opinion, spot: Spot, label: int, outline: Bools | None = None
    ) -> RGB:
        """Return a tile with the Grad-CAM map of a class on it, as the figures of `attend` show it.

        Raises:
            DataError: The Model is not there.
        """
        from hviskd.attention.overlays import overlay
        from hviskd.attention.result import scaled_map

        if opinion.place < 0:
            raise DataError(f"{opinion.name}: give the Model to see where it looks")
        tile = self.tile(which, opinion, spot)
        found = self._looked(opinion.place, tile, label)
        return overlay(tile, scaled_map(found, spot.tile_px), outline)

    def _looked(self, place: int, tile: RGB, label: int) -> Floats32:
        """Return a Model's Grad-CAM map of a tile, (h, w)."""
        from hviskd.attention import AttentionSettings
        from hviskd.attention.looking import look_of

        with self._lock:
            model = self._model(place)
            look = look_of(model, model.card.classes, AttentionSettings())
            found: Floats32 = look(tile[None], np.array([label]))[0]
            return found

    def _model(self, place: int) -> "Model":
        with self._lock:
            if place not in self._models:
                self._models[place] = load_model(self._sources[place])
            return self._models[place]

    def _transfer(self, which: ShelfSlide, opinion: Opinion, slide: Slide) -> StainTransfer | None:
        request = opinion.request
        if request is None or request.card.stain is None:
            return None
        key = which.key, opinion.place
        with self._lock:
            if key not in self._transfers:
                request = at_own_scale(request, slide)
                self._transfers[key] = fit_transfer(slide, tissue_mask(slide, request.tissue), request)
            return self._transfers[key]


def _of_tile(slide_map: SlideMap, spot: Spot) -> Floats32 | None:
    """Return what a map says of a tile, found by halving since tiles are in row order; None where it has none."""
    columns = slide_map.tile_grid.columns
    places = slide_map.row.astype(np.int64) * columns + slide_map.column
    wanted = spot.row * columns + spot.column
    at = int(np.searchsorted(places, wanted))
    return slide_map.probabilities[at] if at < len(places) and places[at] == wanted else None
