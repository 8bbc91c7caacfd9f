"""Tables of text, as shown on the command line, in Markdown files and in reports."""

import math
from collections.abc import Sequence

from hviskd.evaluation.intervals import Interval

Table = tuple[Sequence[str], Sequence[Sequence[str]]]  # header and rows

TITLES = {
    "top1": "top-1",
    "top3": "top-3",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "macro_auroc": "macro AUROC",
    "ece": "calibration error",
}
EACH_LEVEL = "at each level:"  # ends the title of a table with every level of corruption


def format_value(value: float, interval: Interval | None, *, signed: bool = False) -> str:
    """Format a value with its interval, as `0.712 (0.680 to 0.741)`; an undefined value is a dash."""
    number = "+.3f" if signed else ".3f"
    if math.isnan(value):
        return "–"
    text = format(value, number)
    if interval is not None:
        text += f" ({format(interval.low, number)} to {format(interval.high, number)})"
    return text.replace("-", "−")


def markdown_table(table: Table, *, words: int = 1) -> str:
    """Return a table as Markdown; the first `words` columns are left-aligned, the others right-aligned."""
    header, rows = table
    ruler = ["---"] * words + ["---:"] * (len(header) - words)
    return "\n".join(map(_line, [header, ruler, *rows]))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
