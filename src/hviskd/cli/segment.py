"""`hviskd segment`: a Model and slides become maps of tissue classes."""

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hviskd.cli.tissue_options import KeepInk, TissueArea, TissueDensity, TissueHole, TissueMpp, TissueSaturation
from hviskd.slides import TissueRule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hviskd.segmentation import SlideOutcome

_SHOWN_NOTES = 20
_STAGES = {
    "open": "opening slides",
    "tissue": "finding tissue",
    "stain": "fitting the stain",
    "load": "waiting for the engine",
    "read": "waiting for tiles",
    "network": "classifying",
    "write": "writing maps",
}


class _Engine(StrEnum):
    auto = "auto"
    onnxruntime = "onnxruntime"
    openvino = "openvino"
    torch = "torch"


class _Precision(StrEnum):
    auto = "auto"
    float32 = "float32"
    float16 = "float16"
    int8 = "int8"


def segment(
    slides: Annotated[
        list[Path],
        typer.Argument(metavar="SLIDE...", help="Slides, folders of slides, or a CSV with the columns slide[,mpp]."),
    ],
    model: Annotated[
        Path, typer.Option("-m", "--model", metavar="MODEL", help="Folder of a Model, or of a finished run.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the maps; each slide gets one in it.")
    ],
    mpp: Annotated[
        float | None, typer.Option("--mpp", help="µm a px of the tiles, for a Model whose card does not say.")
    ] = None,
    slide_mpp: Annotated[
        float | None, typer.Option("--slide-mpp", help="µm a px, for slides that do not record it or wrongly.")
    ] = None,
    mpp_csv: Annotated[
        Path | None, typer.Option("--mpp-csv", help="The same for each slide: a CSV with the columns slide,mpp.")
    ] = None,
    stride: Annotated[
        int | None,
        typer.Option("--stride", help="px from tile to tile; less than a tile: they overlap.", show_default="a tile"),
    ] = None,
    tissue: Annotated[float, typer.Option("--tissue", help="Least share of a tile that is tissue.")] = 0.5,
    unsure_below: Annotated[
        float | None,
        typer.Option(
            "--unsure-below",
            metavar="P",
            help="Draw tiles as unsure whose class is less probable; 0: none.",
            show_default="the Model's own, if calibrated",
        ),
    ] = None,
    engine: Annotated[_Engine, typer.Option("--engine", help="What runs the network.")] = _Engine.auto,
    precision: Annotated[
        _Precision, typer.Option("--precision", help="What it calculates with; int8 needs an int8 variant.")
    ] = _Precision.auto,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", help="Tiles at a time.", show_default="what suits the processor")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", help="Threads of the network.", show_default="one a core")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Threads that read.", show_default="one a core, at most 4")
    ] = None,
    recursive: Annotated[bool, typer.Option("-r", "--recursive", help="Search subfolders for slides too.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do again what is done already.")] = False,
    tissue_mpp: TissueMpp = TissueRule.mpp,
    tissue_density: TissueDensity = TissueRule.density,
    tissue_saturation: TissueSaturation = TissueRule.saturation,
    tissue_min_area_um2: TissueArea = TissueRule.min_area_um2,
    tissue_min_hole_um2: TissueHole = TissueRule.min_hole_um2,
    tissue_keep_ink: KeepInk = TissueRule.keep_ink,
) -> None:
    """Classify all tissue of slides and write each a map: for QuPath, as OME-TIFF, as a table, as a picture.

    Tile size, µm/px, normalisation and stain are those that the Model was trained with. Interrupted and started again,
    only what is missing or has changed is done. The exit status is 1 if any slide could not be segmented; the others
    are.

    Examples:

      hviskd segment slide.svs -m runs/student -o maps

      hviskd segment slides/ -r -m runs/student -o maps --stride 75

      hviskd segment slide.svs -m student-calibrated -o maps --unsure-below 0.8

      hviskd segment cohort.csv -m student-model -o maps --precision int8
    """
    from hviskd.segmentation import find_cohort, find_model, segment_cohort

    _, card = find_model(model)
    found = find_cohort(slides, recursive=recursive, slide_mpp=slide_mpp, mpp_csv=mpp_csv)
    scale = card.mpp or mpp
    typer.echo(
        f"{card.name}: {len(card.classes)} classes, tiles of {card.tile_px} px"
        f"{f' at {scale:g} µm/px' if scale else ''}; {len(found)} slide{'s' * (len(found) != 1)}"
    )
    began = time.perf_counter()
    outcomes = segment_cohort(
        model,
        found,
        output,
        mpp=mpp,
        stride_px=stride,
        min_tissue=tissue,
        tissue_rule=TissueRule(
            tissue_mpp, tissue_density, tissue_saturation, tissue_min_area_um2, tissue_min_hole_um2, tissue_keep_ink
        ),
        unsure_below=unsure_below,
        engine=engine.value,
        precision=precision.value,
        device=device,
        batch_size=batch_size,
        threads=threads,
        workers=workers,
        overwrite=overwrite,
        report=_print_outcome,
    )
    _print_notes(outcomes)
    _print_stages(outcomes, time.perf_counter() - began)
    failed = sum(outcome.state == "failed" for outcome in outcomes)
    typer.echo(f"{len(outcomes) - failed} of {len(outcomes)} slides have a map")
    typer.echo(f"wrote {output}")
    if failed:
        raise typer.Exit(1)


def _print_outcome(outcome: "SlideOutcome") -> None:
    """Print the one line of a slide."""
    if (summary := outcome.summary) is None:
        typer.echo(f"error: {outcome.problem}", err=True)
        return
    if outcome.state == "kept":
        typer.echo(f"{outcome.slide.name}: done before, {summary.tiles:,} tiles: {outcome.folder}")
        return
    tissue_mm2 = summary.map.tissue_area_um2 / 1e6
    rate = summary.tiles / max(1e-9, sum(summary.seconds.get(stage, 0.0) for stage in ("read", "network")))
    speed = f" at {rate:,.0f} a second" if summary.tiles else ""
    typer.echo(
        f"{outcome.slide.name}: {tissue_mm2:.3g} mm² of tissue, {summary.tiles:,} tiles{speed}: {outcome.folder}"
    )


def _print_notes(outcomes: "Sequence[SlideOutcome]") -> None:
    notes = [f"note: {o.slide.name}: {note}" for o in outcomes if o.summary is not None for note in o.summary.map.notes]
    for note in notes[:_SHOWN_NOTES]:
        typer.echo(note)
    if len(notes) > _SHOWN_NOTES:
        typer.echo(f"… and {len(notes) - _SHOWN_NOTES} more notes in the summaries")


def _print_stages(outcomes: "Sequence[SlideOutcome]", seconds: float) -> None:
    """Print what each stage took; those of different slides run at the same time."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Column, Table

    done = [outcome.summary for outcome in outcomes if outcome.state == "done" and outcome.summary is not None]
    if not done:
        return
    table = Table("stage", Column("seconds", justify="right"), box=SIMPLE_HEAD, pad_edge=False)
    for stage, words in _STAGES.items():
        table.add_row(words, f"{sum(summary.seconds.get(stage, 0.0) for summary in done):,.1f}")
    table.add_row("all, much of it at the same time", f"{seconds:,.1f}")
    Console().print(table)
