"""The options of all verbs that look for tissue; `segment`, `slides info` and `tiles cut` share them.

Their defaults are those of a `TissueRule`, which they make together.
"""

from typing import Annotated

import typer

_PANEL = "What counts as tissue"

TissueMpp = Annotated[
    float, typer.Option("--tissue-mpp", help="µm a px of the view in which it is sought.", rich_help_panel=_PANEL)
]
TissueDensity = Annotated[
    float | None,
    typer.Option(
        "--tissue-density",
        help="Optical density (log10, mean of red, green, blue) above which there is tissue.",
        show_default="found on each slide",
        rich_help_panel=_PANEL,
    ),
]
TissueSaturation = Annotated[
    float | None,
    typer.Option(
        "--tissue-saturation",
        help="Saturation, 0 to 1, above which there is tissue.",
        show_default="found on each slide",
        rich_help_panel=_PANEL,
    ),
]
TissueArea = Annotated[
    float,
    typer.Option("--tissue-area", metavar="UM2", help="Smaller pieces, in µm², are dirt.", rich_help_panel=_PANEL),
]
TissueHole = Annotated[
    float,
    typer.Option("--tissue-hole", metavar="UM2", help="Smaller gaps, in µm², count as tissue.", rich_help_panel=_PANEL),
]
KeepInk = Annotated[
    bool,
    typer.Option("--keep-ink", help="Do not leave out what looks like marker ink.", rich_help_panel=_PANEL),
]
