"""Tables of text, as results give them and the command line, Markdown files and reports show them."""

from collections.abc import Sequence

Table = tuple[Sequence[str], Sequence[Sequence[str]]]  # header and rows


def markdown_table(table: Table, *, words: int = 1) -> str:
    """Give a table as Markdown; the first `words` columns stand to the left, the others, numbers, to the right."""
    header, rows = table
    ruler = ["---"] * words + ["---:"] * (len(header) - words)
    return "\n".join(map(_line, [header, ruler, *rows]))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
