"""Slide maps: where on each slide the Model sees which class, and how much of it."""

import csv
from collections.abc import Sequence
from pathlib import Path

from hviskd.errors import DataError
from hviskd.evaluation.tables import markdown_table
from hviskd.reports.section import Section, card_of, name_of, pictures_there
from hviskd.segmentation.cohort import SLIDES_CSV
from hviskd.segmentation.outputs import OVERVIEW, SUMMARY, Summary, read_summary
from hviskd.slides import TissueRule

SHOWN = 20  # maps with a picture
LISTED = 500
_TISSUE_OPTIONS = {
    "mpp": "--tissue-mpp",
    "density": "--tissue-density",
    "saturation": "--tissue-saturation",
    "min_area_um2": "--tissue-area",
    "min_hole_um2": "--tissue-hole",
    "keep_ink": "--keep-ink",
}
_MEANING = (
    "tissue: the area of tissue found on the slide, in mm²; classes: the area of the squares whose most probable class "
    "it is, in mm² and as a share of all squares classified.",
)
_LIMIT = (
    "A map shows where the Model sees what it was taught. Tissue of a kind that it was not taught gets the class it "
    "most resembles."
)


def matches(folder: Path) -> bool:
    """Say whether `hviskd segment` wrote a folder, of one slide or of several."""
    return (folder / SLIDES_CSV).is_file() or "map" in card_of(folder, SUMMARY)


def describe(folder: Path) -> Section:
    """Make the section of a folder of maps.

    Raises:
        DataError: The folder is damaged.
    """
    alone = "map" in card_of(folder, SUMMARY)
    homes = [folder] if alone else sorted(path for path in folder.iterdir() if "map" in card_of(path, SUMMARY))
    summaries = [read_summary(home) for home in homes]
    failed = [] if alone else _failed(folder)
    lead = [f"{len(summaries)} slide{'s' * (len(summaries) != 1)} mapped, {len(failed)} failed.", *_how(summaries)]
    if len(homes) > SHOWN:
        lead.append(f"Pictures of the first {SHOWN} are shown; each slide's folder holds its own.")
    if len(homes) > LISTED:
        lead.append(f"The first {LISTED} are listed; {SLIDES_CSV} lists all.")
    pictures = [
        picture
        for home, summary in list(zip(homes, summaries, strict=True))[:SHOWN]
        for picture in pictures_there(home, {OVERVIEW: f"{summary.map.slide}: the slide and its map."})
    ]
    limits = [_LIMIT, *dict.fromkeys(f"{one.map.slide}: {note}" for one in summaries for note in one.map.notes)]
    if failed:
        limits.append(f"Failed, for reasons that {SLIDES_CSV} gives: {', '.join(failed)}.")
    return Section(
        title=f"Slide maps: {name_of(folder)}",
        lead=tuple(lead),
        tables=_tables(summaries[:LISTED]),
        meaning=_MEANING,
        pictures=tuple(pictures),
        limits=tuple(limits),
        commands=tuple(dict.fromkeys(_command(one, name_of(folder)) for one in summaries)),
    )


def _how(summaries: Sequence[Summary]) -> list[str]:
    said = []
    for one in summaries:
        card = one.map
        grid = f"tiles of {card.tile_px} px at {card.mpp:g} µm/px every {card.stride_px} px"
        unsure = f"; less probable than {card.unsure_below:g} is drawn as unsure" if card.unsure_below else ""
        tissue = f"at least {card.min_tissue:.0%} tissue"
        if options := _tissue_options(card.tissue_rule):
            tissue += f" ({options})"
        said.append(
            f"Model {card.model} ({card.model_fingerprint[:12]}): {grid}, {tissue}, stain {card.stain}, "
            f"computed by {card.engine}{unsure}."
        )
    return list(dict.fromkeys(said))


def _tables(summaries: Sequence[Summary]) -> tuple[str, ...]:
    """Give one table for each set of classes."""
    tables = []
    for classes in dict.fromkeys(one.map.classes for one in summaries):
        rows = []
        for one in summaries:
            if one.map.classes != classes:
                continue
            whole = sum(one.areas_mm2.values())
            areas = [one.areas_mm2.get(name, 0.0) for name in classes]
            cells = [f"{area:.2f} ({area / whole:.0%})" if whole else "–" for area in areas]
            rows.append([one.map.slide, f"{one.tiles:,}", f"{one.map.tissue_area_um2 / 1e6:.2f}", *cells])
        tables.append(markdown_table((["slide", "tiles", "tissue", *classes], rows)))
    return tuple(tables)


def _failed(folder: Path) -> list[str]:
    path = folder / SLIDES_CSV
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return [row["slide"] for row in csv.DictReader(stream) if row["state"] == "failed"]
    except (KeyError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not what `hviskd segment` writes; segment again") from error


def _command(one: Summary, folder: str) -> str:
    card = one.map
    stride = "" if card.stride_px == card.tile_px else f" --stride {card.stride_px}"
    unsure = f" --unsure-below {card.unsure_below:g}" if card.unsure_below else ""
    rule = _tissue_options(card.tissue_rule)
    rule = f" {rule}" if rule else ""
    return f"hviskd segment SLIDES -m {card.model} -o {folder} --tissue {card.min_tissue:g}{rule}{stride}{unsure}"


def _tissue_options(rule: TissueRule) -> str:
    """Give what differs from the defaults as options of `hviskd segment`, such as `--tissue-area 500 --keep-ink`."""
    changed = rule.changed().items()
    return " ".join(_TISSUE_OPTIONS[name] + ("" if value is True else f" {value:.15g}") for name, value in changed)
