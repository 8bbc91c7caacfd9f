"""Tables of an agreement: numbers per slide and class, their means over slides, and boundary profiles."""

import math
from collections.abc import Sequence

import pandas as pd

from hviskd.agreement.boundary import MeanProfile, mean_profile
from hviskd.agreement.slide_agreement import OVERALL, SlideAgreement, class_scores

SCORES = ("dice", "precision", "recall", "hausdorff95_um")
MEAN_HEADER = ("model", "class", "resolution", "Dice", "precision", "recall", "95 % Hausdorff distance, µm")


def agreement_table(agreements: Sequence[SlideAgreement]) -> pd.DataFrame:
    """Return one row per slide, model, class and resolution; the class `(overall)` is all compared classes together.

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
    """Average an agreement table over slides: a row per model, class and resolution, with the number of slides."""
    groups = table.groupby(["model", "class", "resolution"], sort=False)[list(SCORES)]
    return groups.mean().join(groups.count().add_suffix("_slides")).reset_index()


def mean_profiles(agreements: Sequence[SlideAgreement]) -> list[MeanProfile]:
    """Average the boundary profiles of each class and model over slides."""
    profiles = [profile for one in agreements for profile in one.profiles]
    keys = dict.fromkeys((profile.class_name, profile.model) for profile in profiles)
    return [mean_profile([one for one in profiles if (one.class_name, one.model) == key]) for key in keys]


def boundary_table(agreements: Sequence[SlideAgreement], means: Sequence[MeanProfile]) -> pd.DataFrame:
    """Return one row per slide, model, class and distance bin; the slide `(mean)` has the means over slides."""
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


def mean_rows(means: pd.DataFrame) -> list[list[str]]:
    """Return the mean table as text, one list per row: model, class, resolution, and the four scores."""
    rows = []
    for row in means.to_dict("records"):
        scores = []
        for score in SCORES:
            count, value = int(row[f"{score}_slides"]), float(row[score])
            digits = f"{value:.0f}" if score == "hausdorff95_um" else f"{value:.3f}"
            scores.append(f"{digits} ({count})" if count else "–")
        rows.append([str(row["model"]), str(row["class"]), str(row["resolution"]), *scores])
    return rows
