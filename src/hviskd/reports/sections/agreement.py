"""Report section: slide maps compared with an expert's outlines."""

from pathlib import Path

from hviskd.agreement.folder import KIND, SUMMARY, TABLE
from hviskd.reports.section import Section, card_of, name_of, picture_of, pictures_there, text_of

SHOWN = 20
_MEANING = (
    "Dice: overlap of the map's and the expert's area of a class, 0 to 1; precision: the share of the map's "
    "area of the class that the expert confirms; recall: the share of the expert's area that the map finds.",
    "95 % Hausdorff distance: 95 % of each border is closer than this to the other, in µm.",
    "level-0: counted on the slide's own pixels; cell: on the cells of the map.",
)


def matches(folder: Path) -> bool:
    """Return whether a folder was written by `hviskd agree`."""
    return (folder / TABLE).is_file() and card_of(folder, SUMMARY).get("kind") == KIND


def describe(folder: Path) -> Section:
    """Make the section of an agreement folder.

    Raises:
        DataError: The folder is damaged.
    """
    slides = sorted(folder.glob("slide-*.png"))
    mean = pictures_there(folder, {"boundary.png": "Probability of a class by distance from the expert's outline."})
    each = [picture_of(path, "The expert's outlines and each model's probability.") for path in slides[:SHOWN]]
    left = [f"Figures are shown for the first {SHOWN} of {len(slides)} slides."] if len(slides) > SHOWN else []
    return Section(
        title=f"Agreement with the expert: {name_of(folder)}",
        lead=("Slide maps compared with an expert's annotations.", *left),
        tables=(text_of(folder / "summary.md"),),
        meaning=_MEANING,
        pictures=(*mean, *each),
        limits=("One expert's outline is not ground truth: another expert would draw it differently.",),
        commands=(f"hviskd agree MAPS --annotations DIR -o {name_of(folder)}",),
    )
