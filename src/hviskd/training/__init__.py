"""A Recipe becomes a Run: fit, log, checkpoint, resume."""

from typing import TYPE_CHECKING, Any

from hviskd.training.built_in import built_in_recipes

if TYPE_CHECKING:
    from hviskd.training.fit import train
    from hviskd.training.recipe import Recipe, load_recipe
    from hviskd.training.run import Run

__all__ = ["Recipe", "Run", "built_in_recipes", "load_recipe", "train"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    homes = {"Recipe": "recipe", "load_recipe": "recipe", "Run": "run", "train": "fit"}
    if name not in homes:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{homes[name]}"), name)
