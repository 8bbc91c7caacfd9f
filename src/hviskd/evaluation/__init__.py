"""Measures Models on a TileSet honestly: metrics, intervals over patients, paired differences, and their files."""

from hviskd.evaluation.calibration import calibrate
from hviskd.evaluation.files import save_evaluation
from hviskd.evaluation.intervals import Interval, bootstrap_weights, percentile_interval
from hviskd.evaluation.measuring import evaluate
from hviskd.evaluation.metrics import Metrics, Scorer, measure
from hviskd.evaluation.result import Difference, Evaluation, ModelResult

__all__ = [
    "Difference",
    "Evaluation",
    "Interval",
    "Metrics",
    "ModelResult",
    "Scorer",
    "bootstrap_weights",
    "calibrate",
    "evaluate",
    "measure",
    "percentile_interval",
    "save_evaluation",
]
