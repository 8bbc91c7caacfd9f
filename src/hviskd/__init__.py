"""Distil large tissue classifiers into small ones, measure the gain, and map whole slides.

Names are imported on first use, so that `import hviskd` takes almost no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hviskd.lazy import load_on_use
from hviskd.version import __version__

_HOMES = {
    "Model": "models",
    "Recipe": "training",
    "Run": "training",
    "TileSet": "tiles",
    "agree": "agreement",
    "attend": "attention",
    "built_in_recipes": "training",
    "calibrate": "evaluation",
    "check_leak": "tiles",
    "compare": "experiments",
    "create_network": "networks",
    "draw_contact_sheet": "tiles",
    "evaluate": "evaluation",
    "import_folder": "tiles",
    "load_design": "experiments",
    "load_model": "models",
    "load_recipe": "training",
    "network_names": "networks",
    "open_slide": "slides",
    "run_demo": "experiments",
    "segment": "segmentation",
    "split_tiles": "tiles",
    "summary_table": "tiles",
    "train": "training",
    "write_report": "reports",
}

_ROOMS = {*_HOMES.values(), "annotations", "distillation", "errors"}

if TYPE_CHECKING:
    from hviskd.agreement import agree
    from hviskd.attention import attend
    from hviskd.evaluation import calibrate, evaluate
    from hviskd.experiments import compare, load_design, run_demo
    from hviskd.models import Model, load_model
    from hviskd.networks import create_network, network_names
    from hviskd.reports import write_report
    from hviskd.segmentation import segment
    from hviskd.slides import open_slide
    from hviskd.tiles import TileSet, check_leak, draw_contact_sheet, import_folder, split_tiles, summary_table
    from hviskd.training import Recipe, Run, built_in_recipes, load_recipe, train

__all__ = [
    "Model",
    "Recipe",
    "Run",
    "TileSet",
    "__version__",
    "agree",
    "attend",
    "built_in_recipes",
    "calibrate",
    "check_leak",
    "compare",
    "create_network",
    "draw_contact_sheet",
    "evaluate",
    "import_folder",
    "load_design",
    "load_model",
    "load_recipe",
    "network_names",
    "open_slide",
    "run_demo",
    "segment",
    "split_tiles",
    "summary_table",
    "train",
    "write_report",
]


_load = load_on_use(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    return import_module(f"hviskd.{name}") if name in _ROOMS else _load(name)


def __dir__() -> list[str]:
    return sorted(__all__)
