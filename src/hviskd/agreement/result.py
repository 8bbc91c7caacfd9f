"""The result of `agree`: how well each map agrees with the expert, and which slides could not be compared."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hviskd.agreement.pairs import Pair
from hviskd.agreement.slide_agreement import Compared, SlideAgreement
from hviskd.version import DISCLAIMER

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

STATEMENTS = (
    "Dice, precision and recall cover only places with both a tile and the expert's label.",
    "Several slides of one patient are not independent; here, every slide counts once.",
    DISCLAIMER,
)


@dataclass(frozen=True, eq=False)
class Agreement:
    """Agreement of maps with experts' annotations; maps are read again when they are drawn.

    Attributes:
        maps: One comparison per map, slide by slide.
        pairs: Where each of them was read from.
        failed: Why slides could not be compared, by their name (that of the folder, of a map that cannot be read).
    """

    maps: tuple[SlideAgreement, ...]
    pairs: tuple[Pair, ...]
    failed: Mapping[str, str]

    @property
    def slides(self) -> tuple[str, ...]:
        """The slides that were compared, by file name."""
        return tuple(dict.fromkeys(one.slide for one in self.maps))

    @property
    def statements(self) -> tuple[str, ...]:
        """Notes on the numbers."""
        return STATEMENTS

    def to_dataframe(self) -> "pd.DataFrame":
        """Return one row per slide, model, class and resolution, as `agreement_table` does."""
        from hviskd.agreement.tables import agreement_table

        return agreement_table(self.maps)

    def means(self) -> "pd.DataFrame":
        """Return one row per model, class and resolution: means over slides, and their number."""
        from hviskd.agreement.tables import mean_table

        return mean_table(self.to_dataframe())

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show
        from hviskd.agreement.tables import MEAN_HEADER, mean_rows

        told = f"means over {len(self.slides)} slides; in brackets, the number of slides with a value"
        failed = show.table(("slide", "not compared because"), self.failed.items()) if self.failed else ""
        return show.paragraph(told) + show.table(MEAN_HEADER, mean_rows(self.means())) + failed

    def compared(self, slide: str) -> list[Compared]:
        """Read the maps of one slide again, with the expert's annotation.

        Raises:
            DataError: A map or an annotation is gone.
        """
        return [pair.compared(one) for one, pair in zip(self.maps, self.pairs, strict=True) if one.slide == slide]

    def draw(self, slide: str) -> "Figure":
        """Draw the maps of one slide under the expert's outlines.

        Raises:
            DataError: A map or an annotation is gone.
        """
        from hviskd.agreement.figures import draw_slide

        return draw_slide(self.compared(slide))
