"""Comparisons of many trainings, and the demo.

Names load what they need when first used: reading a design trains nothing.
"""

from typing import TYPE_CHECKING

from hviskd.lazy import load_on_use

if TYPE_CHECKING:
    from hviskd.experiments.adapting import Adaptation, adapt
    from hviskd.experiments.comparing import Outcome, compare
    from hviskd.experiments.comparison import Comparison
    from hviskd.experiments.demo import Demo, run_demo
    from hviskd.experiments.design import Design, load_design
    from hviskd.experiments.tuning import Tuning, tune

_HOMES = {
    "Adaptation": "adapting",
    "Comparison": "comparison",
    "Demo": "demo",
    "Design": "design",
    "Outcome": "comparing",
    "Tuning": "tuning",
    "adapt": "adapting",
    "compare": "comparing",
    "load_design": "design",
    "run_demo": "demo",
    "tune": "tuning",
}

__all__ = [
    "Adaptation",
    "Comparison",
    "Demo",
    "Design",
    "Outcome",
    "Tuning",
    "adapt",
    "compare",
    "load_design",
    "run_demo",
    "tune",
]

__getattr__ = load_on_use(__name__, _HOMES)
