"""`hviskd segment`: map the tissue classes of whole slides with a Model."""

import time
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hviskd.cli.answers import Answer, answering
from hviskd.cli.running_options import Retries, Scheduler, cluster
from hviskd.cli.segment_plan import print_plan
from hviskd.cli.slide_options import MppCsv, Recursive, SlideMpp, SlidesArgument
from hviskd.cli.spelling import say
from hviskd.cli.status import Status
from hviskd.cli.tissue_options import KeepInk, TissueArea, TissueDensity, TissueHole, TissueMpp, TissueSaturation
from hviskd.slides import TissueRule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hviskd.segmentation import SlideOutcome

_SHOWN_NOTES = 20
_STAGES = {
    "open": "opening slides",
    "tissue": "detecting tissue",
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


class _Written(StrEnum):
    overview = "overview"
    qupath = "qupath"
    table = "table"
    ome_tiff = "ome-tiff"


class _Precision(StrEnum):
    auto = "auto"
    float32 = "float32"
    float16 = "float16"
    int8 = "int8"


@answering
def segment(
    context: typer.Context,
    slides: SlidesArgument,
    model: Annotated[Path, typer.Option("-m", "--model", metavar="MODEL", help="Model folder or finished run.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the maps, with one subfolder per slide.")
    ],
    mpp: Annotated[
        float | None,
        typer.Option("--mpp", help="Pixel size of the tiles in µm/px, for a Model whose card does not record it."),
    ] = None,
    slide_mpp: SlideMpp = None,
    mpp_csv: MppCsv = None,
    stride_px: Annotated[
        int | None,
        typer.Option(
            "--stride",
            help="Step between tiles in px; tiles overlap if it is smaller than a tile.",
            show_default="one tile",
        ),
    ] = None,
    min_tissue: Annotated[float, typer.Option("--tissue", help="Minimum share of tissue in a tile.")] = 0.5,
    unsure_below: Annotated[
        float | None,
        typer.Option(
            "--unsure-below",
            metavar="P",
            help="Mark tiles whose top probability is below P as unsure; 0 marks none.",
            show_default="the Model's threshold, if calibrated",
        ),
    ] = None,
    icc: Annotated[
        bool | None,
        typer.Option(
            "--icc/--no-icc",
            help="Convert pixels to sRGB by each slide's ICC colour profile.",
            show_default="as the Model's tiles",
        ),
    ] = None,
    coarse_to_fine: Annotated[
        bool,
        typer.Option(
            "--coarse-to-fine",
            help="Look at all tiles at low power first, and at full power only where the Model is unsure or classes "
            "meet; for Models trained with low_power.",
        ),
    ] = False,
    write: Annotated[
        list[_Written] | None,
        typer.Option(
            "--write",
            help="Which files to write beside map.npz and summary.json; repeatable.",
            show_default="all",
        ),
    ] = None,
    engine: Annotated[_Engine, typer.Option("--engine", help="Inference engine.")] = _Engine.auto,
    precision: Annotated[
        _Precision, typer.Option("--precision", help="Numerical precision; int8 needs a Model with an int8 variant.")
    ] = _Precision.auto,
    device: Annotated[str, typer.Option("--device", help="Compute device: auto, cpu, cuda or mps.")] = "auto",
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size",
            help="Number of tiles per batch; on a CPU each thread has its own.",
            show_default="suited to the device",
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", help="Number of threads for the network.", show_default="one per core")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", help="Number of threads for reading slides.", show_default="one per core, at most 4"),
    ] = None,
    recursive: Recursive = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Repeat slides that are already finished.")] = False,
    part: Annotated[
        str | None,
        typer.Option(
            "--part",
            metavar="K/N",
            help="Segment only the K-th of N shares of equal size, for job arrays; needs no file locks.",
        ),
    ] = None,
    scheduler: Scheduler = None,
    retries: Retries = None,
    collect: Annotated[
        bool, typer.Option("--collect", help="Segment nothing: write slides.csv from what all parts have done.")
    ] = False,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan",
            help="Write nothing: estimate tiles, hours on this and on more computers, and bytes, from two minutes of "
            "work on slides drawn at random.",
        ),
    ] = False,
    tissue_mpp: TissueMpp = TissueRule.mpp,
    tissue_density: TissueDensity = TissueRule.density,
    tissue_saturation: TissueSaturation = TissueRule.saturation,
    tissue_min_area_um2: TissueArea = TissueRule.min_area_um2,
    tissue_min_hole_um2: TissueHole = TissueRule.min_hole_um2,
    tissue_keep_ink: KeepInk = TissueRule.keep_ink,
) -> Answer:
    """Classify the tissue of whole slides, and write maps for QuPath, as OME-TIFF, as tables and as images.

    Tile size, µm/px, normalisation and stain are taken from the Model. To continue after an interruption, repeat the
    command: finished slides are skipped unless the slide, the Model or the settings have changed. If a slide cannot be
    segmented, the others still are, and the exit status is 1. Processes with the same output folder share the slides;
    on a file system without locks, give each its own --part.

    Examples:

      hviskd segment slide.svs -m runs/student -o maps

      hviskd segment slides/ -r -m runs/student -o maps --stride 75

      hviskd segment slide.svs -m student-calibrated -o maps --unsure-below 0.8

      hviskd segment cohort.csv -m student-model -o maps --precision int8

      hviskd segment slides/ -m runs/student -o maps --write overview --write table

      hviskd segment slides/ -m runs/student -o maps --coarse-to-fine

      hviskd segment slides/ -m runs/student -o maps --plan

      hviskd segment slides/ -m runs/student -o maps --part 3/20

      hviskd segment slides/ -m runs/student -o maps --scheduler local:4
    """
    from hviskd.errors import DataError
    from hviskd.models import Compute, find_model
    from hviskd.running import Here, Part
    from hviskd.segmentation import MapSettings, collect_parts, plan_cohort, segment_cohort
    from hviskd.slides import find_cohort

    if collect and part:
        raise DataError(f"`part={part!r}`: omit it, since `collect=True` puts all parts together")
    if collect and overwrite:
        raise DataError("`overwrite=True`: omit it, since `collect=True` repeats no slide")
    if scheduler and (collect or part):
        raise DataError(f"`scheduler={scheduler!r}`: omit it, or `part` and `collect`")
    if plan and (part or scheduler or collect or overwrite):
        raise DataError("`plan=True`: omit `part`, `scheduler`, `collect` and `overwrite`, since it writes nothing")
    report = partial(_print_outcome, context=context)
    on_cluster = cluster(scheduler, retries, report)
    tissue = TissueRule(
        tissue_mpp, tissue_density, tissue_saturation, tissue_min_area_um2, tissue_min_hole_um2, tissue_keep_ink
    )
    settings = MapSettings(mpp, stride_px, min_tissue, tissue, unsure_below, icc, coarse_to_fine)
    if write:
        settings = replace(settings, write=tuple(dict.fromkeys(each.value for each in write)))
    compute = Compute(engine.value, precision.value, device, batch_size, threads, workers)
    _, card = find_model(model)
    found = find_cohort(slides, recursive=recursive, slide_mpp=slide_mpp, mpp_csv=mpp_csv)
    scale = card.mpp or mpp
    typer.echo(
        f"{card.name}: {len(card.classes)} classes, tiles of {card.tile_px} px"
        f"{f' at {scale:g} µm/px' if scale else ''}; {len(found)} slide{'s' * (len(found) != 1)}"
    )
    if plan:
        return print_plan(plan_cohort(model, found, settings=settings, compute=compute), context)
    began = time.perf_counter()
    if collect:
        outcomes = collect_parts(model, found, output, settings=settings, compute=compute)
        for outcome in outcomes.failed:
            _print_outcome(outcome, context)
    else:
        here = Here(report) if part is None else Part.parse(part, report)
        outcomes = segment_cohort(
            model, found, output, settings=settings, compute=compute, overwrite=overwrite, running=on_cluster or here
        )
    for note in outcomes.notes:
        say(f"note: {note}", context)
    _print_notes(outcomes, context)
    unconverted = sum(o.summary is not None and not o.summary.map.icc for o in outcomes)
    if (card.icc if icc is None else icc) and unconverted:
        typer.echo(
            f"note: {unconverted:,} of {len(outcomes):,} slides have no usable ICC colour profile; read as stored"
        )
    if not collect:
        _print_stages(outcomes, time.perf_counter() - began)
    failed = len(outcomes.failed)
    typer.echo(f"{len(outcomes) - failed} of {len(outcomes)} slides mapped")
    typer.echo(f"wrote {output}")
    slides_done = [_about(outcome) for outcome in outcomes]
    return Answer({"output": output, "slides": slides_done, "notes": outcomes.notes}, Status.partly(failed))


def _about(outcome: "SlideOutcome") -> dict[str, Any]:
    """Return what a program needs to know of one slide's map."""
    facts = {"slide": outcome.slide, "folder": outcome.folder, "state": outcome.state, "problem": outcome.problem}
    if (summary := outcome.summary) is None:
        return facts
    of_map = {"tissue_mm2": summary.map.tissue_area_um2 / 1e6, "areas_mm2": summary.areas_mm2}
    first_pass = summary.map.first_pass
    closely = {} if first_pass is None else {"looked_closely": first_pass.closely}
    return {
        **facts,
        "tiles": summary.tiles,
        **closely,
        **of_map,
        "seconds": summary.seconds,
        "notes": summary.map.notes,
    }


def _print_outcome(outcome: "SlideOutcome", context: typer.Context) -> None:
    """Print the one line of a slide."""
    if (summary := outcome.summary) is None:
        say(f"error: {outcome.problem}", context, err=True)
        return
    if outcome.state == "kept":
        typer.echo(f"{outcome.slide.name}: already done, {summary.tiles:,} tiles: {outcome.folder}")
        return
    tissue_mm2 = summary.map.tissue_area_um2 / 1e6
    rate = summary.tiles / max(1e-9, sum(summary.seconds.get(stage, 0.0) for stage in ("read", "network")))
    speed = f" at {rate:,.0f} tiles/s" if summary.tiles else ""
    if summary.map.first_pass is not None:
        speed += f", {summary.map.first_pass.closely:,} of them looked at closely"
    typer.echo(
        f"{outcome.slide.name}: {tissue_mm2:.3g} mm² of tissue, {summary.tiles:,} tiles{speed}: {outcome.folder}"
    )


def _print_notes(outcomes: "Sequence[SlideOutcome]", context: typer.Context) -> None:
    from hviskd.segmentation.own_scale import cohort_notes

    notes = cohort_notes((o.slide.name, o.summary.map.notes) for o in outcomes if o.summary is not None)
    for note in notes[:_SHOWN_NOTES]:
        say(f"note: {note}", context)
    if len(notes) > _SHOWN_NOTES:
        typer.echo(f"… and {len(notes) - _SHOWN_NOTES} more notes in the summaries")


def _print_stages(outcomes: "Sequence[SlideOutcome]", seconds: float) -> None:
    """Print the time of each stage; stages of different slides overlap."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Column, Table

    done = [outcome.summary for outcome in outcomes if outcome.state == "done" and outcome.summary is not None]
    if not done:
        return
    table = Table("stage", Column("seconds", justify="right"), box=SIMPLE_HEAD, pad_edge=False)
    for stage, words in _STAGES.items():
        table.add_row(words, f"{sum(summary.seconds.get(stage, 0.0) for summary in done):,.1f}")
    table.add_row("total (stages overlap)", f"{seconds:,.1f}")
    Console().print(table)
