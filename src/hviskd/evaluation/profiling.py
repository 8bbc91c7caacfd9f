"""The cost of networks: a table of sizes, operations, memory and speed."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import torch
from pydantic import JsonValue

from hviskd.errors import DataError
from hviskd.evaluation.cost_figures import Point, cost_figure, read_accuracy
from hviskd.evaluation.counting import Complexity, complexity
from hviskd.evaluation.tables import Table, markdown_table
from hviskd.evaluation.throughput import Machine, Rate, machine, rates
from hviskd.models import AnyModel, AnyModels, Model, NetworkChoice, find_model, load_model, save_model
from hviskd.models.card import untrained_card
from hviskd.models.finding import one_or_several
from hviskd.models.folder import INT8, WEIGHTS
from hviskd.networks import is_network
from hviskd.pictures import save_figure
from hviskd.progress import Progress, progress_bar
from hviskd.storage import atomic_folder, require_free, write_json, write_text

_MIB = 2**20
_CARD = "profile.json"  # what tells a profile from a person's own folder


@dataclass(frozen=True)
class Entry:
    """One network's cost.

    Attributes:
        name: Of the Model, or of the network.
        network: Name of the network.
        classes: K.
        fingerprint: SHA-256 of a Model's weights; None for a network without training.
        complexity: What is counted.
        file_bytes: Size of a Model's weight file; for a network that of the file it would have.
        int8_bytes: Size of its int8 variant; None where it has none.
        rates: What is measured, one an engine.
    """

    name: str
    network: str
    classes: int
    fingerprint: str | None
    complexity: Complexity
    file_bytes: int
    int8_bytes: int | None
    rates: tuple[Rate, ...]

    @property
    def fastest(self) -> Rate | None:
        """The rate of the fastest engine; None if nothing was measured."""
        return max(self.rates, key=lambda rate: rate.best, default=None)


@dataclass(frozen=True)
class Profile:
    """Networks and the computer they were measured on.

    Attributes:
        entries: In the order asked for.
        machine: None where no speed was measured.
        refused: One line for each engine that did not run.
    """

    entries: tuple[Entry, ...]
    machine: Machine | None
    refused: tuple[str, ...]

    def summary_table(self) -> Table:
        """Return header and rows, as text: one row per network."""
        header = ["network", "tile, px", "parameters", "weights, MiB", "multiply-adds, M", "FLOPs, M"]
        header += ["largest layer, MiB", "all maps, MiB", "read + written, MiB"]
        rows = []
        for entry in self.entries:
            cost = entry.complexity
            moved = cost.bytes_read + cost.bytes_written
            sizes = (entry.file_bytes, cost.activation_bytes, cost.all_activation_bytes, moved)
            weights, *memory = (f"{size / _MIB:,.2f}" for size in sizes)
            operations = (f"{number / 1e6:,.1f}" for number in (cost.multiply_adds, cost.flops))
            rows.append([entry.name, str(cost.tile_px), f"{cost.parameters:,}", weights, *operations, *memory])
        return header, rows

    def rate_table(self) -> Table:
        """Return header and rows, as text: one row per network and engine."""
        header = ["network", "engine", "precision", "device", "tiles/s, batch 1", "tiles/s, best", "at batch"]
        rows = [
            [
                entry.name,
                rate.engine,
                rate.precision,
                rate.device,
                f"{rate.single:,.1f}",
                f"{rate.best:,.1f}",
                str(rate.best_batch),
            ]
            for entry in self.entries
            for rate in entry.rates
        ]
        return header, rows

    @property
    def statements(self) -> list[str]:
        """Notes on the measurement."""
        measured = [f"Speed was measured on {self.machine}."] if self.machine else []
        return [*measured, *(f"Not measured: {line}" for line in self.refused)]

    def to_dict(self) -> dict[str, JsonValue]:
        """Return everything as plain JSON values."""
        return {
            "format_version": 1,
            "machine": asdict(self.machine) if self.machine else None,
            "refused": list(self.refused),
            "networks": [asdict(entry) for entry in self.entries],
        }

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per network and engine, counts repeated; one row with empty rates if nothing was measured."""
        rows = []
        for entry in self.entries:
            facts = asdict(entry)
            counts = facts.pop("complexity")
            del facts["rates"]
            rows += [facts | counts | asdict(rate) for rate in entry.rates] or [facts | counts]
        return pd.DataFrame(rows)

    def to_markdown(self) -> str:
        """Return the tables and every statement as Markdown."""
        tables = [self.summary_table()] + ([self.rate_table()] if self.machine else [])
        return "\n\n".join([*map(markdown_table, tables), *self.statements]) + "\n"

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        rates = show.table(*self.rate_table()) if self.machine else ""
        return show.table(*self.summary_table()) + rates + "".join(map(show.paragraph, self.statements))


def profile(
    models: AnyModels,
    *,
    tile_px: int = 150,
    classes: int = 8,
    speed: bool = True,
    threads: int | None = None,
    seconds: float = 3.0,
    progress: Progress | None = None,
) -> Profile:
    """Profile Models and networks.

    Args:
        models: One or several Models, their folders, finished Runs (their selected Model), or names of networks.
        tile_px: Tile side, for networks given by name.
        classes: Number of classes, for networks given by name.
        speed: Whether to measure speed too.
        threads: Number of CPU threads; all available if None.
        seconds: Approximate measuring time per engine.
        progress: Called with done, total and what is being done; a bar by default.

    Raises:
        DataError: Something is neither a Model nor the name of a network, or two have the same name.
        ModelError: A Model is damaged.
        RecipeError: The tile or the number of classes is too small.
    """
    given = one_or_several(models)
    for one in given:  # before the first is measured
        if is_network(one):
            continue
        if isinstance(one, str | Path) and not Path(one).is_dir():
            raise DataError(f"{one}: neither a Model folder nor a network; `network_names()` lists the networks")
        find_model(one)
    entries, refused = [], []
    with progress_bar("profile", len(given), progress) as advance:
        for one in given:
            with _opened(one, tile_px, classes) as (model, trained):
                found, not_run = rates(model, threads=threads, seconds=seconds) if speed else ([], [])
                entries.append(_entry(model, trained, found))
                refused += not_run
            advance(note=entries[-1].name)
    labels = [entry.name for entry in entries]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise DataError(f"{twice}: this name appears twice; give each model only once, with its own name")
    return Profile(tuple(entries), machine(threads) if speed else None, tuple(refused))


def save_profile(
    found: Profile, folder: Path | str, *, accuracy: Path | str | None = None, overwrite: bool = False
) -> Path:
    """Write `profile.md`, `.csv`, `.json`, and, with an evaluation's folder, figures of accuracy against cost.

    Raises:
        DataError: The folder is not empty and `overwrite` is not set or it contains no profile; or the evaluation is
            damaged or has none of the Models.
    """
    folder, accuracy = Path(folder), None if accuracy is None else Path(accuracy)
    check_output(folder, accuracy, overwrite=overwrite)
    points = _points(found, accuracy) if accuracy else {}
    with atomic_folder(folder, overwrite=overwrite) as partial:
        write_json(partial / _CARD, found.to_dict())
        write_text(partial / "profile.md", found.to_markdown())
        write_text(partial / "profile.csv", found.to_dataframe().to_csv(index=False))
        for (cost, metric), each in points.items():
            picture = cost_figure(each, cost=cost, metric=metric, note=" ".join(found.statements))
            save_figure(picture, partial / f"{metric}-{cost}.png")
    return folder


def check_output(folder: Path, accuracy: Path | None = None, *, overwrite: bool = False) -> None:
    """Raise the errors of `save_profile` before the long work, as far as possible.

    Raises:
        DataError: The folder holds something and `overwrite` is not set or it is no profile; or there is no evaluation.
    """
    require_free(folder, overwrite=overwrite, replaces=(_CARD, "profile"))
    if accuracy is not None:
        read_accuracy(accuracy, "top1")


def _points(found: Profile, accuracy: Path) -> dict[tuple[str, str], list[Point]]:
    """Match costs and accuracies by the weights' fingerprint, for each figure that can be drawn."""
    pictures: dict[tuple[str, str], list[Point]] = {}
    for metric in ("top1", "macro_auroc"):
        known = read_accuracy(accuracy, metric)
        for entry in found.entries:
            if entry.fingerprint not in known:
                continue
            value, interval = known[entry.fingerprint]
            costs = {"multiply-adds": entry.complexity.multiply_adds / 1e6}
            if entry.fastest:
                costs["milliseconds"] = entry.fastest.milliseconds
            for cost, amount in costs.items():
                point = Point(entry.name, amount, value, interval, entry.complexity.parameters)
                pictures.setdefault((cost, metric), []).append(point)
    if not pictures:
        raise DataError(f"{accuracy}: evaluates none of these models; give the Models that were evaluated")
    return pictures


def _entry(model: Model, trained: bool, found: Sequence[Rate]) -> Entry:
    card = model.card
    return Entry(
        name=card.name,
        network=card.network.name,
        classes=len(card.classes),
        fingerprint=model.fingerprint if trained else None,
        complexity=complexity(model.network, card.tile_px),
        file_bytes=(model.folder / WEIGHTS).stat().st_size,
        int8_bytes=(model.folder / INT8).stat().st_size if card.int8 else None,
        rates=tuple(found),
    )


@contextmanager
def _opened(given: AnyModel, tile_px: int, classes: int) -> Iterator[tuple[Model, bool]]:
    """Yield a Model and whether it was trained; a network's name becomes a temporary Model with random weights."""
    if not is_network(given):
        yield load_model(given), True
        return
    name = str(given)
    with torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)  # always the same, so that what an engine keeps of it is found again
        choice = NetworkChoice(name=name)
        network = choice.build(classes, tile_px)
        card = untrained_card(choice.settled(network), [f"class {k}" for k in range(classes)], tile_px)
        yield save_model(network, card, Path(folder) / "untrained"), False
