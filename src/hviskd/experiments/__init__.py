"""Several things at once: comparisons of many trainings, the demo, and the synthetic cohort.

Names load what they need when first used: drawing slides needs no torch.
"""

from typing import TYPE_CHECKING

from hviskd.lazy import load_on_use

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

__getattr__ = load_on_use(__name__, _HOMES)
