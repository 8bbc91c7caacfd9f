"""`hviskd annotations`: check the colours of masks, and convert annotations."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hviskd.cli.annotation_options import NoCrop, Tolerance
from hviskd.cli.answers import Answer, answering
from hviskd.cli.spelling import say
from hviskd.cli.status import Status
from hviskd.errors import DataError
from hviskd.storage import require_free_file

if TYPE_CHECKING:
    from hviskd.annotations import Census, Outlines
    from hviskd.annotations.census import CensusRow
    from hviskd.slide_frame import SlideFrame

SHOWN_COLOURS = 20
_ANSWERED_COLOURS = 1000  # a JPEG has hundreds of thousands; the CSV has all

annotations_app = typer.Typer(no_args_is_help=True, help="Inspect and convert annotations.")

Legend = Annotated[
    str, typer.Option("--legend", metavar="NAME_OR_FILE", help="Built-in legend (ivygap, ivygap-paper) or YAML file.")
]


@annotations_app.callback()
def _top() -> None:
    """Inspect and convert annotations."""


@annotations_app.command()
@answering
def census(
    context: typer.Context,
    masks: Annotated[Path, typer.Argument(metavar="MASK_OR_FOLDER", help="Colour mask, or folder of colour masks.")],
    legend: Legend = "ivygap",
    tolerance: Tolerance = 20.0,
    pattern: Annotated[str, typer.Option("--pattern", help="File name pattern of the masks in a folder.")] = "*",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="CSV", help="CSV file for the complete list of colours.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> Answer:
    """List the colours of masks by area, with the nearest class of the legend.

    Use it to check masks and legend before you cut tiles. The exit status is 1 if any mask cannot be read.

    Examples:

      hviskd annotations census W10-1-1-B.2.02_L.jpg

      hviskd annotations census masks/ --pattern "*_L.jpg" -o colours.csv

      hviskd annotations census masks/ --legend my-legend.yaml --tolerance 10
    """
    from hviskd.annotations import find_masks, load_legend, take_census
    from hviskd.progress import progress_bar

    wanted = load_legend(legend)
    found = find_masks(masks, pattern)
    if output is not None:
        _check_output(output, [*found, Path(legend)], overwrite=overwrite)
    with progress_bar("masks", len(found)) as advance:
        counted = take_census(found, wanted, tolerance=tolerance, advance=advance)
    for problem in counted.failed.values():
        say(f"error: {problem}", context, err=True)
    _print_census(counted)
    typer.echo(f"{len(found) - len(counted.failed)} of {len(found)} masks, {counted.total_px} px")
    if output is not None:
        typer.echo(f"wrote {len(counted.area_px)} colours to {counted.write_csv(output)}")
    facts = {"masks": len(found), "px": counted.total_px, "transparent_px": counted.transparent_px}
    areas = {"class_px": counted.class_areas(), "colours": list(counted.rows(_ANSWERED_COLOURS))}
    return Answer({"output": output, **facts, **areas, "failed": counted.failed}, Status.partly(counted.failed))


@annotations_app.command()
@answering
def convert(
    context: typer.Context,
    annotation: Annotated[
        Path,
        typer.Argument(
            metavar="ANNOTATION", help="Outlines (QuPath, Labelme, ImageScope, ASAP, HALO, NDPA, COCO, DICOM) or mask."
        ),
    ],
    output: Annotated[
        Path, typer.Argument(metavar="OUTPUT", help="Output file: .geojson (QuPath), .json (Labelme) or .png (mask).")
    ],
    legend: Annotated[
        str | None,
        typer.Option(
            "--legend",
            metavar="NAME_OR_FILE",
            help="Classes and their colours; required for masks. Other labels are left out.",
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="WxH", help="Slide size in px at full resolution.")
    ] = None,
    slide: Annotated[
        Path | None,
        typer.Option("--slide", metavar="FILE", help="The slide; gives its size, and which part of it was scanned."),
    ] = None,
    px_per_cell: Annotated[
        float,
        typer.Option("--px-per-cell", min=0.01, help="Slide px per mask px, for masks that are written or traced."),
    ] = 1.0,
    image: Annotated[
        str | None, typer.Option("--image", help="Path of the image that Labelme opens, relative to OUTPUT.")
    ] = None,
    tolerance: Tolerance = 20.0,
    no_crop: NoCrop = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing OUTPUT.")] = False,
) -> Answer:
    """Convert an annotation to QuPath GeoJSON, Labelme JSON or a colour mask, according to the suffix of OUTPUT.

    Examples:

      hviskd annotations convert drawn.json drawn.geojson

      hviskd annotations convert drawn.geojson mask.png --legend ivygap --size 20000x15000 --px-per-cell 8

      hviskd annotations convert drawn.geojson mask.png --legend ivygap --slide W10.mrxs --px-per-cell 8

      hviskd annotations convert W10_L.jpg W10.geojson --legend ivygap --size 20000x15000 --px-per-cell 16
    """
    from hviskd.annotations import Outlines, convert, load_legend, read_annotation, to_outlines

    _check_output(output, [annotation], overwrite=overwrite)
    if not math.isfinite(px_per_cell):
        raise typer.BadParameter("must be a number of px", param_hint="--px-per-cell")
    wanted = None if legend is None else load_legend(legend)
    frame = _frame(slide, size, no_crop=no_crop)
    name = None if slide is None else slide.name
    read = read_annotation(annotation, legend=wanted, frame=frame, slide=name, tolerance=tolerance)
    for remark, times in read.remarks.items():
        say(f"note: {times} {remark}", context)
    if output.suffix.lower() in (".geojson", ".json"):
        read = to_outlines(read, wanted, px_per_cell=px_per_cell)
    convert(read, output, legend=wanted, px_per_cell=px_per_cell, image_path=image, frame=frame)
    regions = _regions(read) if isinstance(read, Outlines) else None
    typer.echo(f"wrote {output}" if regions is None else f"{_said(regions)} written to {output}")
    return Answer({"output": output, "regions": regions, "remarks": read.remarks})


def _frame(slide: Path | None, size: str | None, *, no_crop: bool) -> "SlideFrame | None":
    """Return the frame of the slide that is given itself, or by its size."""
    from hviskd.slide_frame import SlideFrame
    from hviskd.slides import open_slide

    if slide is None:
        return None if size is None else SlideFrame(_parse_size(size))
    if size is not None:
        raise DataError("give `slide` or `size`, not both")
    with open_slide(slide, slide_mpp=1.0) as opened:  # whether it records its µm/px or not
        return replace(opened.frame(no_crop=no_crop), mpp=None)


def _check_output(output: Path, sources: Sequence[Path], *, overwrite: bool) -> None:
    """Reject an output that may not be written, before any work; an input is never replaced."""
    if output.exists() and any(source.exists() and output.samefile(source) for source in sources):
        raise DataError(f"{output}: would replace what it is made from; name another file")
    require_free_file(output, overwrite=overwrite)


def _regions(outlines: "Outlines") -> dict[str, int]:
    """Count the regions of each class that has any, in the order of the classes."""
    counts = Counter(region.label for region in outlines.regions)
    return {name: counts[name] for name in outlines.classes if counts[name]}


def _said(regions: dict[str, int]) -> str:
    total = sum(regions.values())
    found = ", ".join(f"{name} {count}" for name, count in regions.items())
    return f"{total} region{'s' * (total > 1)} ({found})" if found else "no region"


def _parse_size(size: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{0,6})[xX×]([1-9]\d{0,6})", size.strip())
    if match is None:
        raise typer.BadParameter(f"'{size}' is not a size; write it as 20000x15000", param_hint="--size")
    return int(match[1]), int(match[2])


def _print_census(census: "Census") -> None:
    """Print the most frequent colours, then the area of each class."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    console = console if console.is_terminal else Console(width=120)
    what = "number" if census.legend.numbers else "colour"
    colours = Table("", what, "px", "share", "nearest class", "distance", box=SIMPLE_HEAD, pad_edge=False)
    for column in colours.columns[2:4]:
        column.justify = "right"
    for row in census.rows(SHOWN_COLOURS):
        swatch = Text("") if census.legend.numbers else Text("██", style=row.colour)
        shares = f"{row.area_px}", f"{row.share:.3%}"
        colours.add_row(swatch, row.colour, *shares, Text(row.nearest_class), _distance(row, census))
    console.print(colours)
    if (more := len(census.area_px) - SHOWN_COLOURS) > 0:
        typer.echo(f"… and {more} more {what}s, {census.share[SHOWN_COLOURS:].sum():.3%} of the px")

    areas = {name: area_px for name, area_px in census.class_areas().items() if area_px}
    areas["of no class"] = census.total_px - census.transparent_px - sum(areas.values())
    areas["transparent"] = census.transparent_px
    within = "" if census.legend.numbers else f" (within {census.tolerance:.3g})"
    classes = Table(f"class{within}", "px", "share", box=SIMPLE_HEAD, pad_edge=False)
    for column in classes.columns[1:]:
        column.justify = "right"
    for name, area_px in areas.items():
        classes.add_row(Text(name), f"{area_px}", f"{area_px / max(1, census.total_px):.3%}")
    console.print(classes)


def _distance(row: "CensusRow", census: "Census") -> str:
    """Say how far a colour lies from the class's, and whether it counts as the class's."""
    if math.isinf(row.distance):
        return "in no legend"
    if row.distance > census.tolerance:
        return f"{row.distance:.1f}  beyond the tolerance"
    foreign = row.nearest_class != "none" and not row.class_px
    return f"{row.distance:.1f}" + ("  wide and in no legend: no class" if foreign else "")
