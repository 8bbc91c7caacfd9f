"""Training: a Recipe becomes a Run (fit, log, checkpoint, resume)."""

from typing import TYPE_CHECKING

from hviskd.lazy import load_on_use
from hviskd.training.built_in import built_in_recipes

if TYPE_CHECKING:
    from hviskd.training.fit import train
    from hviskd.training.recipe import Recipe, load_recipe
    from hviskd.training.run import Run
    from hviskd.training.setup import Devices
    from hviskd.training.teaching import Teaching

__all__ = ["Devices", "Recipe", "Run", "Teaching", "built_in_recipes", "load_recipe", "train"]

_HOMES = {
    "Devices": "setup",
    "Recipe": "recipe",
    "Run": "run",
    "Teaching": "teaching",
    "load_recipe": "recipe",
    "train": "fit",
}
__getattr__ = load_on_use(__name__, _HOMES)
