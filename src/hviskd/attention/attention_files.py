"""Writes an `Attention` to files: maps, tables and figures."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from hviskd.attention.attention_figures import draw_boxes, draw_examples
from hviskd.attention.overlays import spread
from hviskd.attention.result import Attention
from hviskd.evaluation.tables import markdown_table
from hviskd.file_names import safe_name
from hviskd.pictures import save_figure
from hviskd.storage import atomic_file, atomic_folder, write_json, write_text
from hviskd.version import __version__

OVERLAYS = 24


def save_attention(
    attention: Attention, folder: Path | str, *, overlays: int = OVERLAYS, overwrite: bool = False
) -> Path:
    """Write all files in one step.

    `maps-NAME.npy`: float32 (N, h, w), one row per tile of `tiles.csv`, at the resolution of the stage. `examples.png`.
    Of several models also `resemblance.csv`, how alike they look.
    `overlays/NAME/`: the map over each of at most `overlays` tiles, evenly spread, named by row and tile. With an
    expert's outlines also `attention.csv` (one row per model and tile), `means.csv`, `tests.csv`, `attention.md` and
    `boxes.png`. `summary.json` records what was done.

    Raises:
        DataError: The folder is not empty and `overwrite` is not set, or it contains no attention maps.
    """
    folder = Path(folder)
    with atomic_folder(folder, overwrite=overwrite, replaces=("examples.png", "attention maps")) as partial:
        for name, maps in attention.maps.items():
            with atomic_file(partial / f"maps-{name}.npy") as path, path.open("wb") as stream:
                np.save(stream, maps, allow_pickle=False)
        listed = pd.DataFrame({"file": attention.files, "class": attention.classes})
        _write(listed, partial / "tiles.csv")
        save_figure(draw_examples(attention), partial / "examples.png")
        _write_overlays(attention, partial / "overlays", overlays)
        if attention.resemblance is not None:
            _write(attention.resemblance, partial / "resemblance.csv")
        if attention.comparison is not None:
            found = attention.comparison
            _write(found.tiles, partial / "attention.csv")
            _write(found.means, partial / "means.csv")
            _write(found.tests, partial / "tests.csv")
            write_text(partial / "attention.md", to_markdown(attention))
            save_figure(draw_boxes(found, "dice_share"), partial / "boxes.png")
        summary = {
            "format_version": 1,
            "models": list(attention.names),
            "kind": attention.settings.kind,
            "stage": attention.settings.stage,
            "tiles": len(attention),
            "notes": list(attention.notes),
            "versions": {"hviskd": __version__},
        }
        write_json(partial / "summary.json", summary)
    return folder


def _write_overlays(attention: Attention, folder: Path, most: int) -> None:
    for position in spread(len(attention), most) if most else ():
        stem = safe_name(Path(attention.files[position]).stem)
        for name in attention.names:
            place = folder / name / f"{position:06}-{stem}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(attention.overlaid(name, position)).save(place)


def to_markdown(attention: Attention) -> str:
    """Return the table and every note as Markdown."""
    notes, table = " ".join(attention.notes), markdown_table(attention.summary_table())
    alike = "" if attention.resemblance is None else f"\n{markdown_table(attention.resemblance_table())}\n"
    return f"# Attention against the expert's outlines\n\n{notes}\n\n{table}\n{alike}"


def _write(table: pd.DataFrame, path: Path) -> None:
    with atomic_file(path) as partial:
        table.to_csv(partial, index=False, float_format="%.6g")
