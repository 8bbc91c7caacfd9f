"""Options that the verbs reading annotations share: `annotations`, `tiles cut` and `agree`."""

from typing import Annotated

import typer

Tolerance = Annotated[
    float,
    typer.Option(
        "--tolerance", min=0, help="Largest distance between a mask colour and its class colour, in RGB (0 to 255)."
    ),
]
NoCrop = Annotated[
    bool,
    typer.Option(
        "--no-crop",
        help="Count px from the slide's corner, not from that of the scanned part (QuPath started with --no-crop).",
    ),
]
