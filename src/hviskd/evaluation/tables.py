"""Tables of text, as shown on the command line, in Markdown files and in reports."""

from collections.abc import Sequence

Table = tuple[Sequence[str], Sequence[Sequence[str]]]  # header and rows


def markdown_table(table: Table, *, words: int = 1) -> str:
    """Return a table as Markdown; the first `words` columns are left-aligned, the others right-aligned."""
    header, rows = table
    ruler = ["---"] * words + ["---:"] * (len(header) - words)
    return "\n".join(map(_line, [header, ruler, *rows]))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
