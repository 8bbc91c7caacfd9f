"""`hviskd profile`: the cost of networks, counted and measured."""

from pathlib import Path
from typing import Annotated

import typer

from hviskd.cli.answers import Answer, answering
from hviskd.cli.spelling import say


@answering
def profile(
    context: typer.Context,
    networks: Annotated[
        list[str],
        typer.Argument(metavar="MODEL|NETWORK...", help="Model folders, finished runs, or names of networks."),
    ],
    tile_px: Annotated[
        int, typer.Option("--tile-px", min=32, help="Tile side in px, for networks given by name.")
    ] = 150,
    classes: Annotated[
        int, typer.Option("--classes", min=2, help="Number of classes, for networks given by name.")
    ] = 8,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder for the tables and figures.")] = None,
    accuracy: Annotated[
        Path | None,
        typer.Option(
            "--accuracy",
            metavar="EVALUATION",
            help="Folder of `hviskd evaluate` on the same models: plots accuracy against cost. Needs -o.",
        ),
    ] = None,
    speed: Annotated[
        bool, typer.Option("--speed/--no-speed", help="Measure tiles per second on this computer.")
    ] = True,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0.01, help="Approximate measuring time per engine, in seconds.")
    ] = 3.0,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Number of CPU threads.", show_default="all available")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output folder.")] = False,
) -> Answer:
    """Measure the cost of networks: parameters, operations, memory, and speed on this computer.

    Operations and memory are derived from shapes; speed is measured with every engine available on this computer.

    Examples:

      hviskd profile resnet20 mobilenet_v2 --no-speed

      hviskd profile runs/student runs/teacher -o results/cost

      hviskd profile student teacher -o results/cost --accuracy results/compared
    """
    from hviskd.cli.evaluate import print_table
    from hviskd.errors import DataError
    from hviskd.evaluation.profiling import check_output, save_profile
    from hviskd.evaluation.profiling import profile as measure

    if accuracy is not None and output is None:
        raise DataError(f"--accuracy {accuracy}: draws figures; give a folder for them with -o DIR")
    if output is not None:
        check_output(output, accuracy, overwrite=overwrite)
    found = measure(networks, tile_px=tile_px, classes=classes, speed=speed, threads=threads, seconds=seconds)
    if output is not None:
        save_profile(found, output, accuracy=accuracy, overwrite=overwrite)
    print_table(found.summary_table())
    if found.machine is not None:
        print_table(found.rate_table())
    for statement in found.statements:
        say(statement, context)
    if output is not None:
        for file in sorted(output.iterdir()):
            typer.echo(f"  {file}")
    return Answer({"output": output, **found.to_dict()})
