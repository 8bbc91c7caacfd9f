"""The options of reading slides, shared by `slides info`, `tiles cut`, `segment` and `view`."""

from pathlib import Path
from typing import Annotated

import typer

Icc = Annotated[bool, typer.Option("--icc", help="Convert pixels to sRGB by each slide's ICC colour profile.")]
SlidesArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="SLIDE...",
        help="Slides, folders of slides, a CSV with the columns slide[,mpp], or s3://, gs:// or https:// URLs.",
    ),
]
SlideMpp = Annotated[
    float | None,
    typer.Option("--slide-mpp", help="Pixel size in µm/px, for slides whose metadata lacks it or is wrong."),
]
MppCsv = Annotated[
    Path | None,
    typer.Option("--mpp-csv", help="CSV with the pixel size of each slide in µm/px: columns slide,mpp."),
]
Recursive = Annotated[bool, typer.Option("-r", "--recursive", help="Include slides in subfolders.")]
