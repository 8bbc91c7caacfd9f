"""Agreement: slide maps held against an expert's outlines."""

from pathlib import Path

from hviskd.agreement.files import KIND, SUMMARY, TABLE
from hviskd.reports.section import Section, card_of, name_of, picture_of, pictures_there, text_of

SHOWN = 20
_MEANING = (
    "Dice: how far the map's area of a class and the expert's are the same, 0 to 1; precision: the share of the map's "
    "area that the expert agrees with; recall: the share of the expert's area that the map finds.",
    "95 % Hausdorff distance: all but a twentieth of each outline lies nearer than this to the other, in µm.",
    "level-0: counted on the slide's own pixels; cell: on the squares of the map.",
)


def matches(folder: Path) -> bool:
    """Say whether `hviskd agree` wrote a folder."""
    return (folder / TABLE).is_file() and card_of(folder, SUMMARY).get("kind") == KIND


def describe(folder: Path) -> Section:
    """Make the section of an agreement.

    Raises:
        DataError: The folder is damaged.
    """
    slides = sorted(folder.glob("slide-*.png"))
    mean = pictures_there(folder, {"boundary.png": "Probability of a class by distance to the expert's boundary."})
    each = [picture_of(path, "The expert's outlines and each model's probability.") for path in slides[:SHOWN]]
    left = [f"Pictures of the first {SHOWN} of {len(slides)} slides are shown."] if len(slides) > SHOWN else []
    return Section(
        title=f"Maps against the expert: {name_of(folder)}",
        lead=("Slide maps held against what an expert outlined.", *left),
        tables=(text_of(folder / "summary.md"),),
        meaning=_MEANING,
        pictures=(*mean, *each),
        limits=("One expert's outline is no truth: another one would draw it elsewhere.",),
        commands=(f"hviskd agree MAPS --annotations DIR -o {name_of(folder)}",),
    )
