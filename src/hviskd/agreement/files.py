"""The folder that `hviskd agree` writes: tables, summary and pictures."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from hviskd.agreement.boundary import MeanProfile, mean_profile
from hviskd.agreement.figures import draw_profiles, draw_slide
from hviskd.agreement.slide_agreement import OVERALL, Compared, SlideAgreement, class_scores
from hviskd.file_names import safe_name
from hviskd.pictures import save_figure
from hviskd.storage import atomic_folder, write_json, write_text

SUMMARY, TABLE, PROFILES = "summary.json", "agreement.csv", "boundary.csv"
KIND = "hviskd agreement"
_SCORES = ("dice", "precision", "recall", "hausdorff95_um")
STATEMENTS = (
    "Dice, precision and recall are of places that both the map has a tile for and the expert labelled.",
    "Several slides of one patient are not independent; the means and spreads here take every slide as one.",
    "Research software, not a medical device.",
)


@contextmanager
def agreement_folder(folder: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary folder that becomes `folder`; only an earlier agreement is ever replaced.

    Raises:
        DataError: The folder holds something and `overwrite` is not set, or what it holds is no agreement.
    """
    with atomic_folder(folder, overwrite=overwrite, replaces=(TABLE, "agreement")) as partial:
        yield partial


def write_agreement(
    found: Iterable[Compared], folder: Path, failed: Mapping[str, str] = MappingProxyType({})
) -> list[SlideAgreement]:
    """Measure, draw and write into a folder that stands; one slide's maps are held at a time.

    Args:
        found: What `agree` gives, slide by slide.
        folder: Where to.
        failed: Why slides are not among them, filled by the time the last is.
    """
    agreements: list[SlideAgreement] = []
    for number, (slide, group) in enumerate(groupby(found, key=lambda one: one.agreement.slide), 1):
        compared = list(group)
        agreements += [one.agreement for one in compared]
        save_figure(draw_slide(compared), folder / f"slide-{number}-{safe_name(slide)}.png")
    table, profiles = agreement_table(agreements), mean_profiles(agreements)
    write_text(folder / TABLE, table.to_csv(index=False))
    write_text(folder / PROFILES, boundary_table(agreements, profiles).to_csv(index=False))
    if profiles:
        save_figure(draw_profiles(profiles), folder / "boundary.png")
    means = mean_table(table)
    write_text(folder / "summary.md", _markdown(means, agreements, failed))
    write_json(folder / SUMMARY, _summary(means, agreements, failed))
    return agreements


def agreement_table(agreements: Sequence[SlideAgreement]) -> pd.DataFrame:
    """Give one row a slide, model, class and resolution; the class `(overall)` is all compared ones together.

    Columns: slide, model, class, resolution (`level-0` or `cell`), dice, precision, recall, map_mm2, expert_mm2 (of
    what was compared), hausdorff95_um and the distance resolution_um of it; NaN where there is no such number.
    """
    rows = []
    for one in agreements:
        groups = [
            ((place,), one.classes[place], away) for place, away in zip(one.compared, one.hausdorff_um, strict=True)
        ]
        for places, name, distance in [*groups, (one.compared, OVERALL, math.nan)]:
            for resolution, counts, area in (("level-0", one.px, one.px_mm2), ("cell", one.cells, one.cell_mm2)):
                rows.append(
                    {
                        "slide": one.slide,
                        "model": one.model,
                        "class": name,
                        "resolution": resolution,
                        **class_scores(counts, places)._asdict(),
                        "map_mm2": counts[list(places)].sum() * area,
                        "expert_mm2": counts[:, list(places)].sum() * area,
                        "hausdorff95_um": distance,
                        "distance_resolution_um": one.step_um,
                    }
                )
    return pd.DataFrame(rows)


def mean_table(table: pd.DataFrame) -> pd.DataFrame:
    """Average an agreement table over slides: a row a model, class and resolution, with the slides of each mean."""
    groups = table.groupby(["model", "class", "resolution"], sort=False)[list(_SCORES)]
    return groups.mean().join(groups.count().add_suffix("_slides")).reset_index()


def mean_profiles(agreements: Sequence[SlideAgreement]) -> list[MeanProfile]:
    """Average the boundary profiles of each class and model over slides."""
    profiles = [profile for one in agreements for profile in one.profiles]
    keys = dict.fromkeys((profile.class_name, profile.model) for profile in profiles)
    return [mean_profile([one for one in profiles if (one.class_name, one.model) == key]) for key in keys]


def boundary_table(agreements: Sequence[SlideAgreement], means: Sequence[MeanProfile]) -> pd.DataFrame:
    """Give one row a slide, model, class and step of distance; with the slide `(mean)`, the means over slides."""
    columns = ["slide", "model", "class", "from_um", "to_um", "cells", "slides", "probability", "sd"]
    frames = [
        pd.DataFrame({"slide": one.slide, "model": one.model, "class": one.class_name, "from_um": one.edges_um[:-1],
                      "to_um": one.edges_um[1:], "cells": one.cells, "slides": (one.cells > 0).astype(int),
                      "probability": one.mean, "sd": math.nan})
        for agreement in agreements
        for one in agreement.profiles
    ] + [
        pd.DataFrame({"slide": "(mean)", "model": one.model, "class": one.class_name, "from_um": one.edges_um[:-1],
                      "to_um": one.edges_um[1:], "cells": pd.NA, "slides": one.slides, "probability": one.mean,
                      "sd": one.sd})
        for one in means
    ]  # fmt: skip
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


def _summary(means: pd.DataFrame, agreements: Sequence[SlideAgreement], failed: Mapping[str, str]) -> dict[str, object]:
    return {
        "kind": KIND,
        "format_version": 1,
        "means": [
            {str(key): None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
            for row in means.to_dict("records")
        ],
        "maps": [
            {
                "slide": one.slide,
                "model": one.model,
                "classes": [one.classes[place] for place in one.compared],
                "cells_compared": int(one.cells.sum()),
                "mm2_compared": float(one.px.sum() * one.px_mm2),
                "cells_without_tile": one.left_out.cells_without_tile,
                "cells_unlabelled": one.left_out.cells_unlabelled,
                "labelled_mm2_without_tile": one.left_out.labelled_px_without_tile * one.px_mm2,
                "tile_mm2_unlabelled": one.left_out.tile_px_unlabelled * one.px_mm2,
                "distance_resolution_um": one.step_um,
                "notes": list(one.notes),
            }
            for one in agreements
        ],
        "failed": [{"slide": slide, "problem": problem} for slide, problem in failed.items()],
        "statements": list(STATEMENTS),
    }


def _markdown(means: pd.DataFrame, agreements: Sequence[SlideAgreement], failed: Mapping[str, str]) -> str:
    lines = [
        "# Agreement with the expert",
        "",
        "Means over slides, in brackets of how many; a dash where no slide has the number.",
        "",
        "| model | class | resolution | Dice | precision | recall | 95 % Hausdorff distance, µm |",
        "|---|---|---|---|---|---|---|",
        *(f"| {' | '.join(_plain(cell) for cell in row)} |" for row in mean_rows(means)),
        "",
        "| slide | model | compared, mm² | labelled without tile, mm² | tiles unlabelled, mm² | distances to |",
        "|---|---|---|---|---|---|",
    ]
    for one in agreements:
        areas = (one.px.sum(), one.left_out.labelled_px_without_tile, one.left_out.tile_px_unlabelled)
        shown = " | ".join(f"{area * one.px_mm2:.4g}" for area in areas)
        lines.append(f"| {_plain(one.slide)} | {_plain(one.model)} | {shown} | {one.step_um:.3g} µm |")
    notes = [f"- {_plain(one.slide)}, {_plain(one.model)}: {_plain(note)}" for one in agreements for note in one.notes]
    missing = [f"- **not compared: {_plain(slide)}**: {_plain(problem)}" for slide, problem in failed.items()]
    return "\n".join([*lines, "", *missing, *(f"- {line}" for line in STATEMENTS), *notes, ""])


def mean_rows(means: pd.DataFrame) -> list[list[str]]:
    """Give the mean table as words, one list a row: model, class, resolution, and the four scores."""
    rows = []
    for row in means.to_dict("records"):
        scores = []
        for score in _SCORES:
            count, value = int(row[f"{score}_slides"]), float(row[score])
            digits = f"{value:.0f}" if score == "hausdorff95_um" else f"{value:.3f}"
            scores.append(f"{digits} ({count})" if count else "–")
        rows.append([str(row["model"]), str(row["class"]), str(row["resolution"]), *scores])
    return rows


def _plain(text: str) -> str:
    """Keep a foreign name from breaking a Markdown table."""
    return " ".join(text.split()).replace("|", "¦")
