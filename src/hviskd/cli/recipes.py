"""`hviskd recipes`: the recipes that come with the project."""

from typing import Annotated

import typer


def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this recipe's YAML instead of the list.")] = None,
) -> None:
    """List the built-in recipes, or print one to start your own from.

    Examples:

      hviskd recipes

      hviskd recipes vgg19-shufflenet_v1 > mine.yaml
    """
    from hviskd.errors import RecipeError
    from hviskd.training import built_in_recipes

    built_in = built_in_recipes()
    if name is None:
        typer.echo("\n".join(built_in))
    elif name in built_in:
        typer.echo(built_in[name], nl=False)
    else:
        raise RecipeError(f"{name}: no built-in recipe; there are {', '.join(built_in)}")
