"""`hviskd demo`: the whole job on built-in data."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for everything the demo writes.")] = Path(
        "demo"
    ),
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier demo in that folder.")] = False,
) -> None:
    """Do the whole job on slides that hviskd draws itself: about four minutes on two cores.

    Slides of twenty patients with masks of eight classes, tiles cut from them, a teacher, the student alone, with KD
    and with HVisKD, one table measured on patients that no network has seen, maps of their slides, and a page that
    shows it all. Drawn tissue says nothing about real tissue.

    Examples:

      hviskd demo -o demo
    """
    import time

    from hviskd.cli.evaluate import print_table
    from hviskd.cutting import qc_folder
    from hviskd.experiments import run_demo
    from hviskd.reports.report import write_report

    started = time.monotonic()
    made = run_demo(output, device=device, overwrite=overwrite)
    page = output / "report.html"
    write_report([output], page)
    for table in (made.evaluation.summary_table(), made.evaluation.difference_table()):
        print_table(table)
    for statement in made.evaluation.statements:
        typer.echo(statement)
    typer.echo("Drawn tissue says nothing about real tissue: this shows how the work is done, not what helps.")
    typer.echo(f"slides      {made.cohort.folder} ({len(made.cohort.slides)} slides, masks, outlines)")
    typer.echo(f"tiles       {made.tileset.folder} ({len(made.tileset):,}; look at contact-sheet.png)")
    typer.echo(f"            {qc_folder(made.tileset.folder)} (each slide with the tiles cut from it)")
    for name, run in made.runs.items():
        typer.echo(f"{name:<11} {run.folder} (model, log.csv, curves.png)")
    typer.echo(f"evaluation  {output / 'evaluation'} (table.md, roc-*.png, confusion-*.png, comparison.png)")
    typer.echo(f"maps        {output / 'maps'} ({len(made.maps)} slides of unseen patients)")
    typer.echo(f"report      {page} (all of it on one page; open it in a browser)")
    typer.echo(f"done in {time.monotonic() - started:.0f} s")
