"""The options of tissue detection, shared by `segment`, `slides info` and `tiles cut`.

Together they make a `TissueRule`, which has their defaults.
"""

from typing import Annotated

import typer

_PANEL = "Tissue detection"

TissueMpp = Annotated[
    float,
    typer.Option("--tissue-mpp", help="Resolution at which tissue is detected, in µm/px.", rich_help_panel=_PANEL),
]
TissueDensity = Annotated[
    float | None,
    typer.Option(
        "--tissue-density",
        help="Minimum optical density of tissue (log10, mean of red, green and blue).",
        show_default="determined per slide",
        rich_help_panel=_PANEL,
    ),
]
TissueSaturation = Annotated[
    float | None,
    typer.Option(
        "--tissue-saturation",
        help="Minimum saturation of tissue, from 0 to 1.",
        show_default="determined per slide",
        rich_help_panel=_PANEL,
    ),
]
TissueArea = Annotated[
    float,
    typer.Option(
        "--tissue-area", metavar="UM2", help="Discard tissue pieces smaller than this, in µm².", rich_help_panel=_PANEL
    ),
]
TissueHole = Annotated[
    float,
    typer.Option(
        "--tissue-hole", metavar="UM2", help="Fill holes in tissue smaller than this, in µm².", rich_help_panel=_PANEL
    ),
]
KeepInk = Annotated[
    bool,
    typer.Option("--keep-ink", help="Do not exclude marker ink from the tissue.", rich_help_panel=_PANEL),
]
