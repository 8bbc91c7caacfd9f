"""The options of reading slides, shared by `slides info` and `tiles cut`."""

from typing import Annotated

import typer

Icc = Annotated[bool, typer.Option("--icc", help="Convert pixels to sRGB by each slide's ICC colour profile.")]
