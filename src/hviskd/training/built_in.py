"""The recipes that come with the project, as text; listing them needs no torch."""

from importlib.resources import files


def built_in_recipes() -> dict[str, str]:
    """Give the YAML of every built-in recipe, by name."""
    folder = files("hviskd.training") / "recipes"
    texts = {entry.name: entry.read_text(encoding="utf-8") for entry in folder.iterdir()}
    return {name.removesuffix(".yaml"): text for name, text in sorted(texts.items()) if name.endswith(".yaml")}
