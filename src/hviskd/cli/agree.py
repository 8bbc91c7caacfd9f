"""`hviskd agree`: compare slide maps with an expert's annotations."""

from pathlib import Path
from typing import Annotated

import typer

from hviskd.cli.annotation_options import NoCrop, Tolerance
from hviskd.cli.answers import Answer, answering
from hviskd.cli.running_options import Retries, Scheduler, cluster
from hviskd.cli.spelling import say
from hviskd.cli.status import Status
from hviskd.cli.turns import in_turn


def _show(output: Path, context: typer.Context) -> Answer:
    """Print why slides are missing in an agreement, and return its summary."""
    from hviskd.agreement.folder import SUMMARY
    from hviskd.storage import read_json

    summary = read_json(output / SUMMARY)
    for one in summary["failed"]:
        say(f"error: {one['slide']} was not compared: {one['problem']}", context, err=True)
    return Answer({"output": output, **summary}, Status.partly(summary["failed"]))


@answering
@in_turn(_show)
def agree(
    context: typer.Context,
    maps: Annotated[
        list[Path],
        typer.Argument(metavar="MAP...", help="Folders written by `hviskd segment`, of one map or of several."),
    ],
    annotations: Annotated[
        Path,
        typer.Option(
            "--annotations",
            metavar="FILE",
            help="Outlines or colour mask of the slide, or a folder of them (STEM.geojson, STEM_L.jpg …).",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the tables and figures.")],
    legend: Annotated[
        str | None,
        typer.Option(
            "--legend",
            metavar="NAME|FILE",
            help="Classes and their colours; required for colour masks.",
            show_default="labels of the outlines",
        ),
    ] = None,
    tolerance: Tolerance = 20.0,
    no_crop: NoCrop = False,
    unlabelled_is_other: Annotated[
        bool,
        typer.Option(
            "--unlabelled-is-other", help="Treat areas that the expert left unlabelled as none of the classes."
        ),
    ] = False,
    slides: Annotated[
        Path | None,
        typer.Option("--slides", metavar="FILE|DIR", help="Slides to show in the figures."),
    ] = None,
    bin_um: Annotated[
        float | None,
        typer.Option("--bin-um", help="Bin width of the boundary profile, in µm.", show_default="one map cell"),
    ] = None,
    reach_um: Annotated[
        float, typer.Option("--reach-um", help="Largest distance from the outline in the profile, in µm.")
    ] = 1000.0,
    scheduler: Scheduler = None,
    retries: Retries = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output folder.")] = False,
) -> Answer:
    """Compare slide maps with an expert's annotation: Dice, precision, recall, border distance, boundary profile.

    Annotations are found by the slide's name. Maps of one slide by several models are drawn side by side. Classes are
    matched by name. Places without a tile or without annotation are left out and counted.

    Writes agreement.csv, boundary.csv, summary.json, summary.md and figures. If a slide cannot be compared, the others
    still are, and the exit status is 1.

    Examples:

      hviskd agree maps/section --annotations section.geojson -o agreement

      hviskd agree maps-alone/section maps-hviskd/section --annotations section.geojson -o agreement

      hviskd agree maps --annotations masks --legend ivygap --slides slides -o agreement

      hviskd agree maps --annotations normal-tissue --unlabelled-is-other -o agreement

      hviskd agree maps --annotations qupath --scheduler scheduler.json -o agreement
    """
    from hviskd.agreement import AgreementSettings, save_agreement
    from hviskd.agreement import agree as compare
    from hviskd.agreement.folder import AGREEMENT
    from hviskd.agreement.tables import MEAN_HEADER, mean_rows
    from hviskd.cli.evaluate import print_table
    from hviskd.storage import require_free

    require_free(output, overwrite=overwrite, replaces=AGREEMENT)
    on_cluster = cluster(scheduler, retries)
    settings = AgreementSettings(tolerance, bin_um, reach_um, no_crop, unlabelled_is_other)
    found = compare(maps, annotations, legend=legend, slides=slides, settings=settings, running=on_cluster)
    save_agreement(found, output, overwrite=overwrite)
    print_table((list(MEAN_HEADER), mean_rows(found.means())))
    count = len(found.slides)
    typer.echo(f"means over {count} slide{'s' * (count != 1)}; in brackets, the number of slides with a value")
    for one in found.maps:
        for note in one.notes:
            say(f"note: {one.slide}: {note}", context)
    for statement in found.statements:
        typer.echo(statement)
    typer.echo(f"wrote {output}")
    return _show(output, context)
