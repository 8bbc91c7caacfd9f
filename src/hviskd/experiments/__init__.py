"""Several things at once: comparisons of many trainings, the demo, and the synthetic cohort.

Names load what they need when first used: drawing slides needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hviskd.experiments.comparing import Outcome, compare
    from hviskd.experiments.comparison import Comparison
    from hviskd.experiments.demo import Demo, run_demo
    from hviskd.experiments.design import Design, load_design
    from hviskd.experiments.synthetic_cohort import SyntheticCohort, SyntheticSlide, draw_cohort

_HOMES = {
    "Comparison": "comparison",
    "Demo": "demo",
    "Design": "design",
    "Outcome": "comparing",
    "SyntheticCohort": "synthetic_cohort",
    "SyntheticSlide": "synthetic_cohort",
    "compare": "comparing",
    "draw_cohort": "synthetic_cohort",
    "load_design": "design",
    "run_demo": "demo",
}

__all__ = [
    "Comparison",
    "Demo",
    "Design",
    "Outcome",
    "SyntheticCohort",
    "SyntheticSlide",
    "compare",
    "draw_cohort",
    "load_design",
    "run_demo",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
