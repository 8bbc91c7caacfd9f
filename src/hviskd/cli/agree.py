"""`hviskd agree`: maps of slides beside what an expert drew on them."""

from pathlib import Path
from typing import Annotated

import typer


def agree(
    maps: Annotated[
        list[Path],
        typer.Argument(metavar="MAP...", help="Folders that `hviskd segment` wrote: of one map, or of several."),
    ],
    annotations: Annotated[
        Path,
        typer.Option(
            "--annotations",
            metavar="FILE",
            help="Outlines or colour mask of the slide, or a folder with STEM.geojson, STEM_L.jpg … a slide.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder of the tables and pictures.")],
    legend: Annotated[
        str | None,
        typer.Option("--legend", metavar="NAME|FILE", help="The classes; colour masks need it.", show_default="labels"),
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0, help="Greatest distance of a mask colour from its class's, in RGB.")
    ] = 20.0,
    unlabelled_is_other: Annotated[
        bool,
        typer.Option("--unlabelled-is-other", help="What the expert left unlabelled counts as none of the classes."),
    ] = False,
    slides: Annotated[
        Path | None,
        typer.Option("--slides", metavar="FILE|DIR", help="The slides themselves, to show them in the pictures."),
    ] = None,
    bin_um: Annotated[
        float | None,
        typer.Option("--bin-um", help="Width of the boundary profile's steps, µm.", show_default="a cell of the map"),
    ] = None,
    reach_um: Annotated[float, typer.Option("--reach-um", help="How far from the outline it goes, µm.")] = 1000.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output folder.")] = False,
) -> None:
    """Measure how far maps agree with an expert: Dice, precision, recall, distances, and what they say near outlines.

    Slides are told by their names; maps of several models of one slide are drawn side by side. Classes are the same
    where their names are. Places without a tile or without annotation are left out and counted.

    Writes agreement.csv, boundary.csv, summary.json, summary.md and pictures. A slide that cannot be compared does
    not stop the others; the exit status is then 1.

    Examples:

      hviskd agree maps/section --annotations section.geojson -o agreement

      hviskd agree maps-alone/section maps-hviskd/section --annotations section.geojson -o agreement

      hviskd agree maps --annotations masks --legend ivygap --slides slides -o agreement

      hviskd agree maps --annotations normal-tissue --unlabelled-is-other -o agreement
    """
    from hviskd.agreement.agreeing import agree as measure
    from hviskd.agreement.files import (
        STATEMENTS,
        agreement_folder,
        agreement_table,
        mean_rows,
        mean_table,
        write_agreement,
    )
    from hviskd.annotations import load_legend
    from hviskd.cli.evaluate import print_table

    failed: dict[str, str] = {}
    found = measure(
        maps,
        annotations,
        legend=None if legend is None else load_legend(legend),
        tolerance=tolerance,
        bin_um=bin_um,
        reach_um=reach_um,
        unlabelled_is_other=unlabelled_is_other,
        slides=slides,
        failed=failed,
    )
    with agreement_folder(output, overwrite=overwrite) as folder:  # refuses a full folder before the long work
        agreements = write_agreement(found, folder, failed)

    header = ["model", "class", "resolution", "Dice", "precision", "recall", "95 % Hausdorff, µm"]
    print_table((header, mean_rows(mean_table(agreement_table(agreements)))))
    count = len({one.slide for one in agreements})
    typer.echo(f"means over {count} slide{'s' * (count != 1)}; in brackets, the slides that have the number")
    for one in agreements:
        for note in one.notes:
            typer.echo(f"note: {one.slide}: {note}")
    for statement in STATEMENTS:
        typer.echo(statement)
    typer.echo(f"wrote {output}")
    for slide, problem in failed.items():
        typer.echo(f"error: {slide} was not compared: {problem}", err=True)
    if failed:
        raise typer.Exit(1)
