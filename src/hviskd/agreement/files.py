"""The folder of an agreement: tables, summary and figures."""

import math
from pathlib import Path

import pandas as pd

from hviskd.agreement.figures import draw_profiles
from hviskd.agreement.folder import AGREEMENT, KIND, PROFILES, SUMMARY, TABLE
from hviskd.agreement.result import Agreement
from hviskd.agreement.tables import MEAN_HEADER, boundary_table, mean_profiles, mean_rows
from hviskd.file_names import safe_name
from hviskd.pictures import save_figure
from hviskd.storage import atomic_folder, write_json, write_text


def save_agreement(agreement: Agreement, folder: Path | str, *, overwrite: bool = False) -> Path:
    """Write tables, summary and a figure of each slide to a folder in one step, and return its path.

    Maps, annotations and slides are read again for the figures, one slide at a time.

    Args:
        agreement: The result of `agree`.
        folder: The folder to write; only an earlier agreement is ever replaced.
        overwrite: Whether to replace an existing agreement.

    Raises:
        DataError: The folder is not empty and `overwrite` is not set, or it contains no agreement; or a map, annotation
            or a slide is missing.
    """
    folder = Path(folder)
    with atomic_folder(folder, overwrite=overwrite, replaces=AGREEMENT) as partial:
        for number, slide in enumerate(agreement.slides, 1):
            save_figure(agreement.draw(slide), partial / f"slide-{number}-{safe_name(slide)}.png")
        profiles = mean_profiles(agreement.maps)
        write_text(partial / TABLE, agreement.to_dataframe().to_csv(index=False))
        write_text(partial / PROFILES, boundary_table(agreement.maps, profiles).to_csv(index=False))
        if profiles:
            save_figure(draw_profiles(profiles), partial / "boundary.png")
        means = agreement.means()
        write_text(partial / "summary.md", _markdown(means, agreement))
        write_json(partial / SUMMARY, _summary(means, agreement))
    return folder


def _summary(means: pd.DataFrame, agreement: Agreement) -> dict[str, object]:
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
            for one in agreement.maps
        ],
        "failed": [{"slide": slide, "problem": problem} for slide, problem in agreement.failed.items()],
        "statements": list(agreement.statements),
    }


def _markdown(means: pd.DataFrame, agreement: Agreement) -> str:
    lines = [
        "# Agreement with the expert",
        "",
        "Means over slides, with their number in brackets; a dash if undefined for all slides.",
        "",
        f"| {' | '.join(MEAN_HEADER)} |",
        "|---|---|---|---|---|---|---|",
        *(f"| {' | '.join(_plain(cell) for cell in row)} |" for row in mean_rows(means)),
        "",
        "| slide | model | compared, mm² | labelled without tile, mm² | tiles unlabelled, mm² | distances to |",
        "|---|---|---|---|---|---|",
    ]
    for one in agreement.maps:
        areas = (one.px.sum(), one.left_out.labelled_px_without_tile, one.left_out.tile_px_unlabelled)
        shown = " | ".join(f"{area * one.px_mm2:.4g}" for area in areas)
        lines.append(f"| {_plain(one.slide)} | {_plain(one.model)} | {shown} | {one.step_um:.3g} µm |")
    maps = agreement.maps
    notes = [f"- {_plain(one.slide)}, {_plain(one.model)}: {_plain(note)}" for one in maps for note in one.notes]
    missing = [f"- **not compared: {_plain(slide)}**: {_plain(problem)}" for slide, problem in agreement.failed.items()]
    return "\n".join([*lines, "", *missing, *(f"- {line}" for line in agreement.statements), *notes, ""])


def _plain(text: str) -> str:
    """Keep a name from breaking a Markdown table."""
    return " ".join(text.split()).replace("|", "¦")
