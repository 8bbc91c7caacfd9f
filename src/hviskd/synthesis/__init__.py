"""Synthetic tissue, sections and cohorts, for the demo, tests and benchmarks.

Nothing here touches a user's own data. Names load what they need when first used.
"""

from typing import TYPE_CHECKING

from hviskd.lazy import load_on_use

if TYPE_CHECKING:
    from hviskd.synthesis.cohort import CohortSettings, SyntheticCohort, SyntheticSlide, draw_cohort
    from hviskd.synthesis.section import lay_out_section
    from hviskd.synthesis.tissue import TISSUE_CLASSES, PatientLook, TissueClass, draw_patient, draw_tile, draw_tissue

_HOMES = {
    "TISSUE_CLASSES": "tissue",
    "CohortSettings": "cohort",
    "PatientLook": "tissue",
    "SyntheticCohort": "cohort",
    "SyntheticSlide": "cohort",
    "TissueClass": "tissue",
    "draw_cohort": "cohort",
    "draw_patient": "tissue",
    "draw_tile": "tissue",
    "draw_tissue": "tissue",
    "lay_out_section": "section",
}

__all__ = [
    "TISSUE_CLASSES",
    "CohortSettings",
    "PatientLook",
    "SyntheticCohort",
    "SyntheticSlide",
    "TissueClass",
    "draw_cohort",
    "draw_patient",
    "draw_tile",
    "draw_tissue",
    "lay_out_section",
]

__getattr__ = load_on_use(__name__, _HOMES)
