"""Compares maps with experts' annotations of their slides, one after the other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hviskd.agreement.boundary import distance_edges_um
from hviskd.agreement.pairs import Drawn, Pair, map_folders, pair_up
from hviskd.agreement.result import Agreement
from hviskd.agreement.slide_agreement import DEFAULT_REACH_UM, SlideAgreement
from hviskd.annotations import DEFAULT_TOLERANCE, Legend, load_legend
from hviskd.arrays import Floats
from hviskd.errors import DataError
from hviskd.file_names import Paths, list_paths
from hviskd.progress import Progress, progress_bar
from hviskd.running import Here, Running, Undemanding
from hviskd.segmentation import MapCard, read_summary


@dataclass(frozen=True)
class AgreementSettings:
    """Settings of the comparison of maps with annotations.

    Attributes:
        tolerance: Largest distance between a mask colour and its legend colour, as in `read_annotation`.
        bin_um: Bin width of the boundary profiles; the widest cell of all maps if None.
        reach_um: Largest distance from the outline in the profiles.
        no_crop: See `SlideFrame`; for outlines that QuPath exported with --no-crop.
        unlabelled_is_other: Count places without annotation as none of the classes, for slides whose classes of
            interest were outlined completely.
    """

    tolerance: float = DEFAULT_TOLERANCE
    bin_um: float | None = None
    reach_um: float = DEFAULT_REACH_UM
    no_crop: bool = False
    unlabelled_is_other: bool = False


@dataclass(frozen=True, eq=False)
class _Measured:
    """What came of a pair: its agreement, or why there is none."""

    folder: Path
    agreement: SlideAgreement | None
    problem: str = ""


@dataclass(frozen=True, eq=False)
class _AgreeingJob(Undemanding):
    """What applies to all maps: the bin edges of the profiles. Nothing is written."""

    edges_um: Floats
    output: ClassVar[None] = None
    pieces: ClassVar[str] = "maps"
    memory_bytes: ClassVar[int] = 2**30

    def run(self, items: Sequence[Pair], told: Callable[[_Measured], None], progress: Progress | None) -> None:
        """Measure pairs one after the other."""
        with progress_bar("maps", len(items), progress) as advance:
            for pair in items:
                try:
                    told(_Measured(pair.folder, pair.measure(self.edges_um)))
                except DataError as error:
                    told(_Measured(pair.folder, None, str(error)))
                advance(note=pair.card.slide)

    def size(self, item: Pair) -> int:
        """Return the area of a map's tissue, in µm²."""
        return int(item.card.tissue_area_um2)

    def name(self, item: Pair) -> str:
        """Return the map's folder."""
        return str(item.folder)

    def lost(self, item: Pair, problem: str) -> _Measured:
        """Return the result of a map that no worker survived."""
        return _Measured(item.folder, None, f"{item.folder}: {problem}")


def agree(
    maps: Paths,
    annotations: Path | str,
    *,
    legend: Legend | Path | str | None = None,
    slides: Path | str | None = None,
    settings: AgreementSettings | None = None,
    running: Running | None = None,
    progress: Progress | None = None,
) -> Agreement:
    """Compare maps with the annotations of their slides; one that cannot be compared does not stop the others.

    One slide is in memory at a time.

    Args:
        maps: Folders of maps, or folders that contain them.
        annotations: One file, for maps of one slide, or a folder with one per slide, named like the slides.
        legend: The classes: a Legend, the name of a built-in one, or a YAML file; a mask needs one.
        slides: The slide, or a folder that contains the slides at any depth, to show them in the figures.
        settings: Settings of the comparison; see `AgreementSettings`.
        running: Where to do it; by default in this process, or `Dask("local:4")` for workers of a cluster.
        progress: Called with done, total and what is being done; a bar by default.

    Raises:
        DataError: Nothing could be compared; a length is invalid; two maps of a slide are identical, or one annotation
            is given for several slides.
        RunningError: A cluster or one of its workers cannot do the work.
    """
    running = running or Here()
    settings = settings or AgreementSettings()
    drawn = Drawn(
        Path(annotations),
        legend if isinstance(legend, Legend) or legend is None else load_legend(legend),
        settings.tolerance,
        settings.no_crop,
        settings.unlabelled_is_other,
        None if slides is None else Path(slides),
    )
    failed: dict[str, str] = {}
    cards: dict[Path, MapCard] = {}
    for folder in map_folders(list_paths(maps)):
        with _told(folder.name, failed):
            cards[folder] = read_summary(folder).map
    if not cards:
        raise _nothing(failed)
    pairs = pair_up(cards, drawn)
    try:
        widest_um = max(card.stride_px * card.mpp for card in cards.values())
        edges_um = distance_edges_um(widest_um if settings.bin_um is None else settings.bin_um, settings.reach_um)
    except ValueError as error:
        raise DataError(f"`bin_um={settings.bin_um}`, `reach_um={settings.reach_um}`: {error}") from error
    sent = [pair.absolute() for pair in pairs] if running.remote else pairs
    found: list[tuple[Pair, SlideAgreement]] = []
    measured = {one.folder: one for one in running.run(_AgreeingJob(edges_um), sent, progress)}
    for pair, where in zip(pairs, sent, strict=True):
        one = measured.get(where.folder)
        if one is None:  # it is of another part
            continue
        if one.agreement is None:
            failed[pair.card.slide] = pair.respelled(one.problem)
        else:
            found.append((pair, one.agreement))
    if not found:
        raise _nothing(failed)
    return Agreement(tuple(one for _, one in found), tuple(pair for pair, _ in found), failed)


@contextmanager
def _told(name: str, failed: dict[str, str]) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        failed[name] = str(error)


def _nothing(failed: Mapping[str, str]) -> DataError:
    """Return the reason why no map could be compared."""
    if not failed:
        return DataError("no maps in this part")
    first, *others = failed.values()
    return DataError(f"{first} (and {len(others)} more problems)" if others else first)
