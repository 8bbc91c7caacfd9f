"""A Sphinx extension: a page's line `<!-- generated: NAME -->` becomes what the code says, before the page is read.

So the pages of reference stand beside the others and can be linked to, and no list is written by hand twice.
"""

import re
from typing import Any

from building import session
from building.api import api_page
from building.commands import commands_page
from building.keys import experiment_keys, method_options, preset_table, recipe_keys

PLACE = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)
MAKERS = {
    "api": api_page,
    "commands": commands_page,
    "experiment": experiment_keys,
    "methods": method_options,
    "presets": preset_table,
    "recipe": recipe_keys,
}


def filled(text: str) -> str:
    """Return the text of a page with every place filled."""
    return PLACE.sub(lambda place: MAKERS[place[1]](), text)


def _fill(_app: Any, name: str, source: list[str]) -> None:
    folder, _, page = name.rpartition("/")
    tutorial = folder == "docs" and page in session.TUTORIALS
    source[0] = session.printed(page, source[0]) if tutorial else filled(source[0])
    if name.startswith("benchmarks/results/"):  # linked to from the pages of evidence, and too many for the side bar
        source[0] = f"---\norphan: true\n---\n\n{source[0]}"


def setup(app: Any) -> dict[str, Any]:
    """Connect the extension to Sphinx."""
    app.connect("source-read", _fill)
    return {"version": "1", "parallel_read_safe": True}
