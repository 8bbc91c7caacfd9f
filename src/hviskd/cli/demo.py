"""`hviskd demo`: the whole workflow on synthetic slides."""

from pathlib import Path
from typing import Annotated

import typer

from hviskd.cli.answers import Answer, answering


@answering
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for everything the demo writes.")] = Path(
        "demo"
    ),
    device: Annotated[str, typer.Option("--device", help="Compute device: auto, cpu, cuda or mps.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing demo.")] = False,
) -> Answer:
    """Run the whole workflow on synthetic slides: 4½ minutes of processor time, under three on two idle cores.

    Few slides are outlined here, some are not; another hospital's teacher has seen many. Generates the slides of 24
    patients with masks of eight classes, cuts tiles, trains the teacher and four students (alone, with KD, with HVisKD,
    and with KD on tiles without labels, too), evaluates them on unseen patients, maps the slides of these patients, and
    writes a report. Its first sentence says whether distilling gained anything. Synthetic tissue says nothing about
    real tissue.

    Examples:

      hviskd demo -o demo
    """
    import time

    from hviskd.cli.evaluate import print_table
    from hviskd.experiments import run_demo
    from hviskd.file_names import qc_folder
    from hviskd.reports.report import write_report

    started = time.monotonic()
    made = run_demo(output, device=device, overwrite=overwrite)
    page = output / "report.html"
    write_report([output], page)
    typer.echo(f"{made.evaluation.verdict}\n")
    for table in (made.evaluation.summary_table(), made.evaluation.difference_table()):
        print_table(table)
    for statement in made.evaluation.statements:
        typer.echo(statement)
    typer.echo("Synthetic tissue says nothing about real tissue, and every network was trained once.")
    typer.echo(f"slides        {made.cohort.folder} ({len(made.cohort.slides)} slides, masks, outlines)")
    typer.echo(f"tiles         {made.tileset.folder} ({len(made.tileset):,}; see contact-sheet.png)")
    typer.echo(f"              {qc_folder(made.tileset.folder)} (each slide with the tiles cut from it)")
    typer.echo(f"              {made.elsewhere.folder} ({len(made.elsewhere):,}, the teacher's)")
    typer.echo(f"              {made.unlabelled.folder} ({len(made.unlabelled):,} without labels)")
    for name, run in made.runs.items():
        typer.echo(f"{name:<13} {run.folder} (model, log.csv, curves.png)")
    typer.echo(f"evaluation    {output / 'evaluation'} (table.md, roc-*.png, confusion-*.png, comparison.png)")
    typer.echo(f"maps          {output / 'maps'} ({len(made.maps)} slides of unseen patients)")
    typer.echo(f"report        {page} (all results on one page; open it in a browser)")
    typer.echo(f"done in {time.monotonic() - started:.0f} s")
    folders = {name: run.folder for name, run in made.runs.items()}
    return Answer({"output": output, "report": page, "runs": folders, "evaluation": made.evaluation.to_dict()})
