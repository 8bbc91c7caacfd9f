"""How far the map of a slide agrees with what an expert outlined on it.

Names load what they need when first used.
"""

from typing import TYPE_CHECKING

from hviskd.lazy import load_on_use

if TYPE_CHECKING:
    from hviskd.agreement.agreeing import agree
    from hviskd.agreement.slide_agreement import Compared

_HOMES = {
    "Compared": "slide_agreement",
    "agree": "agreeing",
}

__all__ = [
    "Compared",
    "agree",
]

__getattr__ = load_on_use(__name__, _HOMES)
