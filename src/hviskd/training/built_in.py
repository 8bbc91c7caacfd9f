"""The built-in recipes, as text; listing them does not import torch."""

from hviskd.training.yaml_mapping import built_in_texts


def built_in_recipes() -> dict[str, str]:
    """Return the YAML of every built-in recipe, by name."""
    return built_in_texts("hviskd.training", "recipes")
