"""What works on this computer: libraries, engines, memory, cache, and what each verb lacks.

Nothing here imports the libraries that it examines: each is tried in another process, so that one which is broken, or
ends the process, costs a line and no more.
"""

from typing import TYPE_CHECKING

from hviskd.lazy import load_on_use

if TYPE_CHECKING:
    from hviskd.installation.examining import Installation, examine_installation

_HOMES = {"Installation": "examining", "examine_installation": "examining"}

__all__ = ["Installation", "examine_installation"]

__getattr__ = load_on_use(__name__, _HOMES)
