"""The recipes that come with the project, as text; listing them needs no torch."""

from hviskd.training.yaml_mapping import built_in_texts


def built_in_recipes() -> dict[str, str]:
    """Give the YAML of every built-in recipe, by name."""
    return built_in_texts("hviskd.training", "recipes")
