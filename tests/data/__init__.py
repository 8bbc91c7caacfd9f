"""Files in the form of those met in the wild, drawn by `draw.py`; and real ones, on machines that hold them."""

from collections.abc import Iterable
from pathlib import Path

DATA = Path(__file__).parent
REAL = Path(__file__).parents[3] / "shared" / "data"  # beside the repository; no fact is tested on these alone


def present(paths: Iterable[Path]) -> list[Path]:
    """Give those of the files that this machine has; the ones of this folder must be there."""
    return [path for path in paths if path.exists() or path.is_relative_to(DATA)]


def name(path: Path) -> str:
    return path.name
