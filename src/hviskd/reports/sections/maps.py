"""Report section: slide maps, with the area of each class."""

import csv
from collections.abc import Sequence
from pathlib import Path

from hviskd.errors import DataError
from hviskd.evaluation.tables import markdown_table
from hviskd.reports.section import Section, card_of, name_of, pictures_there
from hviskd.segmentation.cohort import SLIDES_CSV
from hviskd.segmentation.outputs import OVERVIEW, SUMMARY, Summary, read_summary
from hviskd.segmentation.own_scale import cohort_notes, model_mpp
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
    "tissue: the area of tissue on the slide, in mm²; classes: the area of the map cells whose most probable class "
    "it is, in mm² and as a share of all classified cells.",
)
_LIMIT = (
    "A map shows the Model's predictions. Tissue of a kind that the Model was not trained on gets the class that it "
    "most resembles."
)


def matches(folder: Path) -> bool:
    """Return whether a folder was written by `hviskd segment`, for one slide or several."""
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
        lead.append(f"Images are shown for the first {SHOWN}; each slide's folder has its own.")
    if len(homes) > LISTED:
        lead.append(f"The first {LISTED} are listed; {SLIDES_CSV} lists all.")
    pictures = [
        picture
        for home, summary in list(zip(homes, summaries, strict=True))[:SHOWN]
        for picture in pictures_there(home, {OVERVIEW: f"{summary.map.slide}: the slide and its map."})
    ]
    limits = [_LIMIT, *dict.fromkeys(cohort_notes((one.map.slide, one.map.notes) for one in summaries))]
    if failed:
        limits.append(f"Failed (reasons in {SLIDES_CSV}): {', '.join(failed)}.")
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
        grid = f"tiles of {card.tile_px} px at {model_mpp(card.mpp, card.notes):g} µm/px every {card.stride_px} px"
        unsure = f"; unsure below {card.unsure_below:g}" if card.unsure_below else ""
        tissue = f"at least {card.min_tissue:.0%} tissue"
        if options := _tissue_options(card.tissue_rule):
            tissue += f" ({options})"
        said.append(
            f"Model {card.model} ({card.model_fingerprint[:12]}): {grid}, {tissue}, stain {card.stain}, "
            f"{'sRGB by ICC profile, ' if card.icc else ''}computed by {card.engine}{unsure}."
        )
    return list(dict.fromkeys(said))


def _tables(summaries: Sequence[Summary]) -> tuple[str, ...]:
    """Return one table for each set of classes."""
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
        raise DataError(f"{path}: not written by `segment_cohort()`, or damaged; segment again") from error


def _command(one: Summary, folder: str) -> str:
    card = one.map
    stride = "" if card.stride_px == card.tile_px else f" --stride {card.stride_px}"
    unsure = f" --unsure-below {card.unsure_below:g}" if card.unsure_below else ""
    rule = _tissue_options(card.tissue_rule)
    rule = f" {rule}" if rule else ""
    return f"hviskd segment SLIDES -m {card.model} -o {folder} --tissue {card.min_tissue:g}{rule}{stride}{unsure}"


def _tissue_options(rule: TissueRule) -> str:
    """Return the tissue settings that differ from the defaults, as options such as `--tissue-area 500 --keep-ink`."""
    changed = rule.changed().items()
    return " ".join(_TISSUE_OPTIONS[name] + ("" if value is True else f" {value:.15g}") for name, value in changed)
