"""`hviskd attend`: maps of where models look in tiles, compared with an expert's outlines."""

from pathlib import Path
from typing import Annotated

import typer

from hviskd.cli.answers import Answer, answering
from hviskd.cli.running_options import Retries, Scheduler, cluster
from hviskd.cli.spelling import say
from hviskd.cli.turns import in_turn


def _show(output: Path, _context: typer.Context) -> Answer:
    """Print the files of an output, and return its summary."""
    from hviskd.storage import read_json

    for file in sorted(output.iterdir()):
        typer.echo(f"  {file}")
    return Answer({"output": output, **read_json(output / "summary.json")})


@answering
@in_turn(_show)
def attend(
    context: typer.Context,
    models: Annotated[
        list[Path],
        typer.Argument(metavar="MODEL...", help="Model folders or finished runs; the first is the reference."),
    ],
    tiles: Annotated[Path, typer.Option("--tiles", metavar="TILESET", help="TileSet with the tiles to explain.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for maps, tables and figures.")],
    annotations: Annotated[
        Path | None,
        typer.Option(
            "--annotations", metavar="DIR", help="Expert's masks or outlines, named like the tile files or the slides."
        ),
    ] = None,
    legend: Annotated[
        str | None,
        typer.Option(
            "--legend",
            metavar="NAME|FILE",
            help="Classes of the annotations; only what is outlined as the tile's class counts.",
            show_default="whatever is outlined counts",
        ),
    ] = None,
    class_name: Annotated[
        str | None,
        typer.Option(
            "--class",
            metavar="C",
            help="Class to explain; only its tiles are used.",
            show_default="all tiles, each for its own class",
        ),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="Split of the tiles: test, val or train.")] = "test",
    kind: Annotated[str, typer.Option("--method", help="Attention method: grad-cam, hires-cam or cam.")] = "grad-cam",
    stage: Annotated[
        int | None,
        typer.Option("--stage", min=0, help="Stage of the network to map; 0 is the stem.", show_default="last"),
    ] = None,
    overlays: Annotated[
        int, typer.Option("--overlays", min=0, help="Number of tiles drawn individually for each model.")
    ] = 24,
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="Continue even if a model may have been trained on the tiles.")
    ] = False,
    device: Annotated[str, typer.Option("--device", help="Compute device: auto, cpu, cuda or mps.")] = "auto",
    scheduler: Scheduler = None,
    retries: Retries = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output folder.")] = False,
) -> Answer:
    """Show where models look in tiles, and how well this agrees with an expert's outlines.

    Random maps and edge maps are measured alongside as baselines. Research software, not a medical device.

    Examples:

      hviskd attend runs/student --tiles tiles -o results/attention

      hviskd attend runs/kd/model runs/hviskd/model --tiles tiles --class CTmvp --annotations vessels -o results/vessels

      hviskd attend runs/student --tiles tiles --annotations qupath --legend lesion.yaml -o results/lesions
    """
    from hviskd.annotations import load_legend
    from hviskd.attention import AttentionSettings, save_attention
    from hviskd.attention import attend as look
    from hviskd.cli.evaluate import print_table
    from hviskd.storage import require_free

    require_free(output, overwrite=overwrite)
    found = look(
        models,
        tiles,
        annotations=annotations,
        settings=AttentionSettings(
            split,
            class_name,
            kind,  # type: ignore[arg-type]  # it checks the kind
            stage,
            legend=None if legend is None else load_legend(legend),
        ),
        device=device,
        allow_leak=allow_leak,
        running=cluster(scheduler, retries),
    )
    save_attention(found, output, overlays=overlays, overwrite=overwrite)
    if found.comparison is not None:
        print_table(found.summary_table())
    if found.resemblance is not None:
        print_table(found.resemblance_table())
    for note in found.notes:
        say(note, context)
    return _show(output, context)
