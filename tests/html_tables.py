"""Reads the tables of a result's notebook view back, as text."""

from xml.etree import ElementTree as ET


def read_tables(html):
    """Give the rows of all tables of well-formed HTML, each a list of its cells' texts."""
    root = ET.fromstring(f"<div>{html}</div>")
    return [[("".join(cell.itertext())).strip() for cell in row] for row in root.iter("tr")]
