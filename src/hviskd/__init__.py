"""Train a small tissue classifier to see as a large one does, and show what that gained.

The names below load what they need when first used, so that `import hviskd` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOMES = {
    "TileSet": "hviskd.tiles",
    "import_folder": "hviskd.tiles",
    "split_tiles": "hviskd.tiles",
    "create_network": "hviskd.networks",
    "Recipe": "hviskd.training",
    "load_recipe": "hviskd.training",
    "train": "hviskd.training",
    "Model": "hviskd.models",
    "load_model": "hviskd.models",
    "evaluate": "hviskd.evaluation",
}

if TYPE_CHECKING:
    from hviskd.evaluation import evaluate
    from hviskd.models import Model, load_model
    from hviskd.networks import create_network
    from hviskd.tiles import TileSet, import_folder, split_tiles
    from hviskd.training import Recipe, load_recipe, train

__all__ = [
    "Model",
    "Recipe",
    "TileSet",
    "create_network",
    "evaluate",
    "import_folder",
    "load_model",
    "load_recipe",
    "split_tiles",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'hviskd' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
