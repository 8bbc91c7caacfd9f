"""Train a small tissue classifier to see as a large one does, and show what that gained.

The names below load what they need when first used, so that `import hviskd` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hviskd.version import __version__

_HOMES = {
    "Model": "hviskd.models",
    "Recipe": "hviskd.training",
    "Run": "hviskd.training",
    "TileSet": "hviskd.tiles",
    "built_in_recipes": "hviskd.training",
    "check_leak": "hviskd.tiles",
    "compare": "hviskd.experiments",
    "create_network": "hviskd.networks",
    "draw_contact_sheet": "hviskd.tiles",
    "evaluate": "hviskd.evaluation",
    "import_folder": "hviskd.tiles",
    "load_design": "hviskd.experiments",
    "load_model": "hviskd.models",
    "load_recipe": "hviskd.training",
    "network_names": "hviskd.networks",
    "open_slide": "hviskd.slides",
    "run_demo": "hviskd.experiments",
    "segment": "hviskd.segmentation",
    "split_tiles": "hviskd.tiles",
    "summary_table": "hviskd.tiles",
    "train": "hviskd.training",
}

_ROOMS = {room.removeprefix("hviskd.") for room in _HOMES.values()} | {"distillation", "annotations", "errors"}

if TYPE_CHECKING:
    from hviskd.evaluation import evaluate
    from hviskd.experiments import compare, load_design, run_demo
    from hviskd.models import Model, load_model
    from hviskd.networks import create_network, network_names
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
    "built_in_recipes",
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
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _ROOMS:
        return import_module(f"hviskd.{name}")
    raise AttributeError(f"module 'hviskd' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
