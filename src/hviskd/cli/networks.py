"""`hviskd networks`: list the networks with their sizes."""

from typing import Annotated

import typer


def networks(
    classes: Annotated[int, typer.Option("--classes", min=2, help="Number of classes.")] = 8,
    tile_px: Annotated[int, typer.Option("--tile-px", min=32, help="Tile side in px.")] = 150,
) -> None:
    """List the networks with their number of parameters and the shapes of their stages.

    Examples:

      hviskd networks

      hviskd networks --classes 5 --tile-px 224
    """
    import torch
    from rich.console import Console
    from rich.table import Table

    from hviskd.networks import create_network, network_names

    table = Table(
        "network", "parameters, gap", "parameters, grid", "channels (stem, stages)", f"last map at {tile_px} px"
    )
    for column in table.columns[1:3]:
        column.justify = "right"
    for name in network_names():
        with torch.device("meta"):  # sizes need no weights
            made = [create_network(name, classes, head) for head in ("gap", "grid")]
        counts = [f"{sum(weight.numel() for weight in network.parameters()):,}" for network in made]
        shapes = made[0].shapes(tile_px).stages
        table.add_row(name, *counts, " ".join(str(shape[0]) for shape in shapes), f"{shapes[-1][1]} × {shapes[-1][2]}")
    Console().print(table)
