"""Prints a table of counts; `tiles cut`, `import`, `split` and `info` share it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_WIDTH = 160  # characters, where the output is no terminal


def print_counts(counts: "pd.DataFrame", rows: str) -> None:
    """Print whole numbers by row and column, a dash for what is not known; `rows` says what the rows are."""
    from pandas import isna
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    console = Console()
    console = console if console.is_terminal else Console(width=_WIDTH)
    heads = (Column(str(name), justify="right") for name in counts.columns)
    table = Table(rows, *heads, box=SIMPLE_HEAD, pad_edge=False)
    for name, row in counts.iterrows():
        table.add_row(Text(str(name)), *("–" if isna(count) else f"{count:,}" for count in row))
    console.print(table)
