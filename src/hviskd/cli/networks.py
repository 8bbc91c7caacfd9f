"""`hviskd networks`: list the networks with their sizes."""

from typing import Annotated

import typer

from hviskd.cli.answers import Answer, answering
from hviskd.cli.status import Status


@answering
def networks(
    classes: Annotated[int, typer.Option("--classes", min=2, help="Number of classes.")] = 8,
    tile_px: Annotated[int, typer.Option("--tile-px", min=32, help="Tile side in px.")] = 150,
    timm: Annotated[
        str | None,
        typer.Option("--timm", metavar="PATTERN", help="List the names of timm that match instead, as 'vit_small*'."),
    ] = None,
) -> Answer:
    """List the networks with their number of parameters and the shapes of their stages.

    Any network of timm whose stages are feature maps or square grids of tokens can be used too: write timm: before
    its name, for example timm:vit_small_patch16_224. It needs pip install 'hviskd[timm]'.

    Examples:

      hviskd networks

      hviskd networks --classes 5 --tile-px 224

      hviskd networks --timm 'regnet*'
    """
    if timm is not None:
        return _list_timm(timm)
    import torch
    from rich.console import Console
    from rich.table import Table

    from hviskd.networks import create_network, network_names

    table = Table(
        "network", "parameters, gap", "parameters, grid", "channels (stem, stages)", f"last map at {tile_px} px"
    )
    for column in table.columns[1:3]:
        column.justify = "right"
    listed = []
    for name in network_names():
        with torch.device("meta"):  # sizes need no weights
            made = [create_network(name, classes, head) for head in ("gap", "grid")]
        gap, grid = (sum(weight.numel() for weight in network.parameters()) for network in made)
        shapes = made[0].shapes(tile_px).stages
        listed.append({"name": name, "parameters_gap": gap, "parameters_grid": grid, "stages": shapes})
        table.add_row(
            name,
            f"{gap:,}",
            f"{grid:,}",
            " ".join(str(shape[0]) for shape in shapes),
            f"{shapes[-1][1]} × {shapes[-1][2]}",
        )
    Console().print(table)
    typer.echo("further networks: timm: and a name of timm's; hviskd networks --timm PATTERN lists them")
    return Answer({"classes": classes, "tile_px": tile_px, "networks": listed})


def _list_timm(pattern: str) -> Answer:
    from hviskd.networks.timm_body import timm_names

    names = timm_names(pattern)
    for name in names:
        typer.echo(f"timm:{name}")
    if not names:
        typer.echo(f"timm has no architecture that matches {pattern!r}", err=True)
    return Answer({"networks": [{"name": f"timm:{name}"} for name in names]}, Status.partly(not names))
