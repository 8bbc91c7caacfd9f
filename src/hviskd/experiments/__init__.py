"""Several things at once: the demo (trainings and one table) and the synthetic cohort (slides with their annotations).

Names load what they need when first used: drawing slides needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hviskd.experiments.demo import Demo, draw_demo_tiles, run_demo
    from hviskd.experiments.synthetic_cohort import SyntheticCohort, SyntheticSlide, draw_cohort

_HOMES = {
    "Demo": "demo",
    "SyntheticCohort": "synthetic_cohort",
    "SyntheticSlide": "synthetic_cohort",
    "draw_cohort": "synthetic_cohort",
    "draw_demo_tiles": "demo",
    "run_demo": "demo",
}

__all__ = ["Demo", "SyntheticCohort", "SyntheticSlide", "draw_cohort", "draw_demo_tiles", "run_demo"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
