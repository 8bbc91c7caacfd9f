"""Refuses a release whose tag, version, changelog and citation do not agree; the release workflow runs it on the tag.

The version is written by hand in `src/hviskd/version.py`, so that neither git nor a build is needed to know it.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PLACEHOLDER = "(CONTACT-ADDRESS)"


def problems(tag: str, root: Path = ROOT) -> list[str]:
    """Return what keeps the tag from being released, one line each."""
    version = _found(r'^__version__ = "(.+?)"', root / "src" / "hviskd" / "version.py")
    wrong = []
    if tag != f"v{version}":
        wrong.append(f"the tag is {tag}, but src/hviskd/version.py says {version}")
    if not _found(rf"^## \[({re.escape(version)})\] - \d{{4}}-\d\d-\d\d$", root / "CHANGELOG.md"):
        wrong.append(f"CHANGELOG.md has no section for {version} with its date")
    if _found(r"^version: (.+)$", root / "CITATION.cff") != version:
        wrong.append(f"CITATION.cff does not say version {version}")
    unready = (name for name in ("CODE_OF_CONDUCT.md", "SECURITY.md") if _found(PLACEHOLDER, root / name))
    return wrong + [f"{name} still has CONTACT-ADDRESS" for name in unready]


def _found(pattern: str, file: Path) -> str:
    found = re.search(pattern, file.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else ""


if __name__ == "__main__":
    sys.exit("\n".join(problems(sys.argv[1])) or None)
