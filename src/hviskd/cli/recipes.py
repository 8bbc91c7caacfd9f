"""`hviskd recipes`: list or print the built-in recipes."""

from typing import Annotated

import typer

from hviskd.cli.answers import Answer, answering


@answering
def recipes(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Recipe to print as YAML instead of the list.")
    ] = None,
) -> Answer:
    """List the built-in recipes, or print one as a starting point for your own.

    Examples:

      hviskd recipes

      hviskd recipes vgg19-shufflenet_v1 > mine.yaml
    """
    import yaml

    from hviskd.errors import RecipeError
    from hviskd.training import built_in_recipes

    built_in = built_in_recipes()
    if name is None:
        typer.echo("\n".join(built_in))
        return Answer({"recipes": list(built_in)})
    if name not in built_in:
        raise RecipeError(f"{name}: not a built-in recipe; choose one of {', '.join(built_in)}")
    typer.echo(built_in[name], nl=False)
    return Answer({"recipe": name, **yaml.safe_load(built_in[name])})
