"""The options of all verbs that look for tissue; `segment`, `slides info` and `tiles cut` share them."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hviskd.slides import TissueRule

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


def tissue_rule(
    mpp: float, density: float | None, saturation: float | None, area_um2: float, hole_um2: float, keep_ink: bool
) -> "TissueRule":
    """Give the rule that the options state."""
    from hviskd.slides import TissueRule

    return TissueRule(mpp, density, saturation, area_um2, hole_um2, keep_ink)
