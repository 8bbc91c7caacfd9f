"""Distillation methods, one module each: from student and teacher features to named losses.

This room knows only tensors: it imports neither networks nor tiles, and is built from the shapes of feature maps.
"""

from hviskd.distillation.features import StoredTrace, pooled_at, regions_at, token_at
from hviskd.distillation.method import Batch, Method, Options, Place, Reads, Setting, Trace, View
from hviskd.distillation.methods.cross_entropy import CrossEntropy, CrossEntropyOptions
from hviskd.distillation.methods.hviskd import HVisKD, HVisKDOptions
from hviskd.distillation.methods.kd import KD, KDOptions
from hviskd.distillation.objective import Objective
from hviskd.distillation.registry import METHODS, PRESETS, build_methods, resolve_methods
from hviskd.distillation.relations import region_relation, sample_relation

__all__ = [
    "KD",
    "METHODS",
    "PRESETS",
    "Batch",
    "CrossEntropy",
    "CrossEntropyOptions",
    "HVisKD",
    "HVisKDOptions",
    "KDOptions",
    "Method",
    "Objective",
    "Options",
    "Place",
    "Reads",
    "Setting",
    "StoredTrace",
    "Trace",
    "View",
    "build_methods",
    "pooled_at",
    "region_relation",
    "regions_at",
    "resolve_methods",
    "sample_relation",
    "token_at",
]
