"""Evaluates Models on a TileSet: metrics, confidence intervals, paired differences, calibration, robustness, cost.

Names are imported on first use.
"""

from typing import TYPE_CHECKING

from hviskd.lazy import load_on_use

if TYPE_CHECKING:
    from hviskd.evaluation.calibration import calibrate
    from hviskd.evaluation.corrupted_tiles import Robustness, robustness
    from hviskd.evaluation.files import save_evaluation
    from hviskd.evaluation.intervals import Interval, bootstrap_weights, percentile_interval, reflected_interval
    from hviskd.evaluation.measuring import evaluate
    from hviskd.evaluation.metrics import Metrics, Scorer, measure
    from hviskd.evaluation.profiling import Profile, profile, save_profile
    from hviskd.evaluation.relation_files import save_relations
    from hviskd.evaluation.relation_quality import RelationQuality, examine_relations
    from hviskd.evaluation.result import Difference, Evaluation, ModelResult
    from hviskd.evaluation.verdict import Verdict

_HOMES = {
    "Difference": "result",
    "Evaluation": "result",
    "Interval": "intervals",
    "Metrics": "metrics",
    "ModelResult": "result",
    "Profile": "profiling",
    "RelationQuality": "relation_quality",
    "Robustness": "corrupted_tiles",
    "Scorer": "metrics",
    "Verdict": "verdict",
    "bootstrap_weights": "intervals",
    "calibrate": "calibration",
    "evaluate": "measuring",
    "examine_relations": "relation_quality",
    "measure": "metrics",
    "percentile_interval": "intervals",
    "profile": "profiling",
    "reflected_interval": "intervals",
    "robustness": "corrupted_tiles",
    "save_evaluation": "files",
    "save_profile": "profiling",
    "save_relations": "relation_files",
}

__all__ = [
    "Difference",
    "Evaluation",
    "Interval",
    "Metrics",
    "ModelResult",
    "Profile",
    "RelationQuality",
    "Robustness",
    "Scorer",
    "Verdict",
    "bootstrap_weights",
    "calibrate",
    "evaluate",
    "examine_relations",
    "measure",
    "percentile_interval",
    "profile",
    "reflected_interval",
    "robustness",
    "save_evaluation",
    "save_profile",
    "save_relations",
]

__getattr__ = load_on_use(__name__, _HOMES)
