"""Train a small tissue classifier to see as a large one does, and show what that gained.

The names below load what they need when first used, so that `import hviskd` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hviskd import telemetry
from hviskd.lazy import load_on_use
from hviskd.version import __version__

telemetry.switch_off()

_HOMES = {
    "AgreementSettings": "agreement",
    "Annotation": "annotations",
    "AttentionSettings": "attention",
    "CohortSettings": "synthesis",
    "Compute": "models",
    "CsvColumns": "tiles",
    "CutSettings": "cutting",
    "Evaluation": "evaluation",
    "ImportSettings": "tiles",
    "Legend": "annotations",
    "MapSettings": "segmentation",
    "Model": "models",
    "QuantizeSettings": "models",
    "Recipe": "training",
    "Run": "training",
    "SlideMap": "segmentation",
    "Teaching": "training",
    "TileSet": "tiles",
    "TissueRule": "slides",
    "adapt": "experiments",
    "agree": "agreement",
    "attend": "attention",
    "built_in_recipes": "training",
    "calibrate": "evaluation",
    "check_leak": "tiles",
    "compare": "experiments",
    "create_network": "networks",
    "cut_slides": "cutting",
    "draw_cohort": "synthesis",
    "draw_contact_sheet": "tiles",
    "evaluate": "evaluation",
    "examine_installation": "installation",
    "examine_relations": "evaluation",
    "export_model": "models",
    "find_cohort": "slides",
    "find_slides": "slides",
    "import_folder": "tiles",
    "load_design": "experiments",
    "load_legend": "annotations",
    "load_model": "models",
    "load_recipe": "training",
    "load_slide_map": "segmentation",
    "network_names": "networks",
    "open_slide": "slides",
    "predict": "models",
    "profile": "evaluation",
    "quantize": "models",
    "read_annotation": "annotations",
    "read_report": "cutting",
    "robustness": "evaluation",
    "run_demo": "experiments",
    "save_agreement": "agreement",
    "save_attention": "attention",
    "save_evaluation": "evaluation",
    "save_profile": "evaluation",
    "save_relations": "evaluation",
    "save_slide_map": "segmentation",
    "segment": "segmentation",
    "segment_cohort": "segmentation",
    "split_tiles": "tiles",
    "stain_reference": "slides",
    "summary_table": "tiles",
    "survey": "slides",
    "tissue_mask": "slides",
    "train": "training",
    "tune": "experiments",
    "view": "viewer",
    "write_report": "reports",
}

_ROOMS = {*_HOMES.values(), "distillation", "errors"}

if TYPE_CHECKING:
    from hviskd.agreement import AgreementSettings, agree, save_agreement
    from hviskd.annotations import Annotation, Legend, load_legend, read_annotation
    from hviskd.attention import AttentionSettings, attend, save_attention
    from hviskd.cutting import CutSettings, cut_slides, read_report
    from hviskd.evaluation import (
        Evaluation,
        calibrate,
        evaluate,
        examine_relations,
        profile,
        robustness,
        save_evaluation,
        save_profile,
        save_relations,
    )
    from hviskd.experiments import adapt, compare, load_design, run_demo, tune
    from hviskd.installation import examine_installation
    from hviskd.models import Compute, Model, QuantizeSettings, export_model, load_model, predict, quantize
    from hviskd.networks import create_network, network_names
    from hviskd.reports import write_report
    from hviskd.segmentation import (
        MapSettings,
        SlideMap,
        load_slide_map,
        save_slide_map,
        segment,
        segment_cohort,
    )
    from hviskd.slides import TissueRule, find_cohort, find_slides, open_slide, stain_reference, survey, tissue_mask
    from hviskd.synthesis import CohortSettings, draw_cohort
    from hviskd.tiles import (
        CsvColumns,
        ImportSettings,
        TileSet,
        check_leak,
        draw_contact_sheet,
        import_folder,
        split_tiles,
        summary_table,
    )
    from hviskd.training import Recipe, Run, Teaching, built_in_recipes, load_recipe, train
    from hviskd.viewer import view

__all__ = [
    "AgreementSettings",
    "Annotation",
    "AttentionSettings",
    "CohortSettings",
    "Compute",
    "CsvColumns",
    "CutSettings",
    "Evaluation",
    "ImportSettings",
    "Legend",
    "MapSettings",
    "Model",
    "QuantizeSettings",
    "Recipe",
    "Run",
    "SlideMap",
    "Teaching",
    "TileSet",
    "TissueRule",
    "__version__",
    "adapt",
    "agree",
    "attend",
    "built_in_recipes",
    "calibrate",
    "check_leak",
    "compare",
    "create_network",
    "cut_slides",
    "draw_cohort",
    "draw_contact_sheet",
    "evaluate",
    "examine_installation",
    "examine_relations",
    "export_model",
    "find_cohort",
    "find_slides",
    "import_folder",
    "load_design",
    "load_legend",
    "load_model",
    "load_recipe",
    "load_slide_map",
    "network_names",
    "open_slide",
    "predict",
    "profile",
    "quantize",
    "read_annotation",
    "read_report",
    "robustness",
    "run_demo",
    "save_agreement",
    "save_attention",
    "save_evaluation",
    "save_profile",
    "save_relations",
    "save_slide_map",
    "segment",
    "segment_cohort",
    "split_tiles",
    "stain_reference",
    "summary_table",
    "survey",
    "tissue_mask",
    "train",
    "tune",
    "view",
    "write_report",
]


_load = load_on_use(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    return import_module(f"hviskd.{name}") if name in _ROOMS else _load(name)


def __dir__() -> list[str]:
    return sorted(__all__)
