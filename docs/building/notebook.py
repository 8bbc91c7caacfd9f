"""Writes a tutorial as a Jupyter notebook: its blocks as cells with their outputs, everything else as text.

The format is that of https://nbformat.readthedocs.io, version 4.5.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable
from typing import Any

from building.steps import Done, Step

_LINK = re.compile(r"(?<!!)\[([^]]*)\]\((?!\w+://)[^)\s]+\)")  # to a page, which a downloaded file has not beside it
_ABOUT = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def notebook(page: Iterable[str | Done]) -> str:
    """Return the JSON of a notebook that has the text of a page and its steps."""
    told = (part.strip() if isinstance(part, str) else part for part in page)
    cells = [
        {"id": f"cell-{number}", **(_text(part) if isinstance(part, str) else _code(part, number))}
        for number, part in enumerate(filter(None, told))
    ]
    return json.dumps({"cells": cells, "metadata": _ABOUT, "nbformat": 4, "nbformat_minor": 5}, ensure_ascii=False)


def _text(markdown: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": _LINK.sub(r"\1", markdown)}


def _code(done: Done, number: int) -> dict[str, Any]:
    said = [{"output_type": "stream", "name": "stdout", "text": done.said}] if done.said.strip() else []
    drawn = [
        {"output_type": "display_data", "data": {"image/png": b64encode(path.read_bytes()).decode()}, "metadata": {}}
        for path in done.pictures
    ]
    cell = {"cell_type": "code", "metadata": {}, "execution_count": number, "source": _source(done.step)}
    return {**cell, "outputs": [*said, *drawn]}


def _source(step: Step) -> str:
    if step.kind == "yaml":
        return f"%%writefile {step.note('saved as')}\n{step.text}"
    if step.kind == "sh":
        return "\n".join(f"!{' '.join(line.split())}" for line in step.commands)
    return step.text.rstrip("\n")
