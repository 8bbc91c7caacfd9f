"""`hviskd tune`: choose values of a recipe on the validation split."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hviskd.cli.answers import Answer, answering
from hviskd.cli.evaluate import print_table
from hviskd.cli.option_groups import with_groups
from hviskd.cli.train import RecipeOptions, TeachingOptions, TilesArgument
from hviskd.cli.turns import in_turn


@answering
@in_turn()
@with_groups
def tune(
    tileset: TilesArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for all trainings, the table and best.yaml.")],
    *,
    grid: Annotated[
        list[str],
        typer.Option(
            "--try",
            metavar="KEY=VALUE,VALUE",
            help="Values to try of a recipe key, nested keys with dots; give it once per key.",
        ),
    ],
    teacher: Annotated[
        Path | None,
        typer.Option("--teacher", help="Teacher: a Model folder or a finished run.", show_default="none"),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option("--method", help="Distillation method, for example kd.", show_default="from the recipe"),
    ] = None,
    seeds: Annotated[
        list[int] | None,
        typer.Option("--with-seed", min=0, help="Seed of the trainings; repeatable.", show_default="100, 101, 102"),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="Compute device: auto, cpu, cuda or mps.")] = "auto",
    recipe: RecipeOptions,
    teaching: TeachingOptions,
) -> Answer:
    """Choose values of a recipe by short trainings, on the validation split; the test split is not read.

    Every combination of values is trained with every seed. The one with the best mean becomes best.yaml, a recipe for
    hviskd train and distill. To continue after an interruption, repeat the command; finished trainings are skipped.

    Examples:

      hviskd tune tiles -o tuned --teacher runs/teacher --recipe laptop --method kd --epochs 5
      --try methods.kd.temperature=2,4 --try methods.kd.weight=0.5,1,2

      hviskd tune tiles -o tuned --recipe laptop --try learning_rate=0.01,0.02,0.05 --with-seed 1

      hviskd distill tiles -o runs/student --teacher runs/teacher --recipe tuned/best.yaml --epochs 20
    """
    from dataclasses import asdict

    from hviskd.errors import RecipeError
    from hviskd.experiments import tune as run
    from hviskd.experiments.tuning import TUNING_SEEDS
    from hviskd.training import Teaching

    if method and not teacher:
        raise RecipeError(f"--method {method}: needs --teacher")
    found = run(
        recipe.load("distilled student", methods=method) if teacher else recipe.load("student"),
        tileset,
        output,
        grid=_grid(grid),
        teacher=Teaching(teacher, **asdict(teaching)) if teacher else None,
        device=device,
        seeds=seeds or TUNING_SEEDS,
    )
    print_table(found.summary_table())
    for note in found.notes:
        typer.echo(note)
    for name in ("best.yaml", "tuning.md", "tuning.csv", "tuning.png"):
        typer.echo(f"  {output / name}")
    facts = {"measure": found.measure, "tried": found.tried, "best": found.best, "notes": found.notes}
    return Answer({"output": output, "chosen": found.chosen, **facts})


def _grid(words: list[str]) -> dict[str, list[Any]]:
    """Read words `KEY=VALUE,VALUE`, or `KEY=[VALUE, VALUE]` where values are lists themselves."""
    from hviskd.errors import RecipeError
    from hviskd.training.recipe import parse_value

    grid: dict[str, list[Any]] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not text:
            raise RecipeError(f"--try {word}: write KEY=VALUE,VALUE, for example methods.kd.weight=0.5,1,2")
        if key in grid:
            raise RecipeError(f"--try {word}: {key} is there twice; give all its values at once")
        values = parse_value(text if text.startswith("[") else f"[{text}]")
        grid[key] = values if isinstance(values, list) else [values]
    return grid
