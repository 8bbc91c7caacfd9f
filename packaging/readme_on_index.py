"""Gives the package index a README that is true there: it has no folder that a relative link could lead to.

With an address under `Repository` in `[project.urls]`, links and pictures lead to that repository at the version's tag.
Without one, links keep their words alone, and pictures are left out.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(?P<picture>!?)\[(?P<words>[^\]]*)\]\((?!\w+:|#)(?P<path>[^)\s]+)\)")


class ReadmeHook(MetadataHookInterface):
    """Runs whenever the metadata is made."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the README."""
        root = Path(self.root)
        version = re.search(r'^__version__ = "(.+?)"', _text(root / "src" / "hviskd" / "version.py"), re.MULTILINE)
        repository = metadata.get("urls", {}).get("Repository", "")
        text = on_index(_text(root / "README.md"), repository, f"v{version[1]}" if version else "main")
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def on_index(text: str, repository: str, tag: str) -> str:
    """Return a README whose relative links lead into a repository, or nowhere if there is no address."""

    def absolute(link: re.Match[str]) -> str:
        if not repository:
            return "" if link["picture"] else link["words"]
        kind = "raw" if link["picture"] else "blob"
        return f"{link['picture']}[{link['words']}]({repository.rstrip('/')}/{kind}/{tag}/{link['path']})"

    return _LINK.sub(absolute, text)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
