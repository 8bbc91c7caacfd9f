"""`hviskd train` and `hviskd distill`: train a network as a recipe says."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hviskd.models import Model
    from hviskd.training import Recipe, Run

TilesArgument = Annotated[
    Path, typer.Argument(metavar="TILESET", help="TileSet with a training and a validation split.")
]
Output = Annotated[
    Path, typer.Option("-o", "--output", help="Folder for the run; must be new, unless --resume is given.")
]
RecipeOption = Annotated[
    str | None, typer.Option("--recipe", help="YAML file, or name of a built-in recipe (see `hviskd recipes`).")
]
Network = Annotated[
    str | None,
    typer.Option("--network", help="Network to train (see `hviskd networks`).", show_default="from the recipe"),
]
Head = Annotated[
    str | None,
    typer.Option(
        "--head", help="Classifier head: gap (global average) or grid (the paper's).", show_default="from the recipe"
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option("--epochs", min=1, help="Number of passes over the training split.", show_default="from the recipe"),
]
BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", min=2, help="Number of tiles per training step.", show_default="from the recipe"),
]
Rate = Annotated[
    float | None, typer.Option("--learning-rate", help="Initial learning rate.", show_default="from the recipe")
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision", help="Numerical precision: 32-true, bf16-mixed or 16-mixed.", show_default="from the recipe"
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed",
        min=0,
        help="Random seed for initial weights, tile order and augmentation.",
        show_default="from the recipe",
    ),
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set any other recipe key; write nested keys with dots."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")]
AllowLeak = Annotated[
    bool, typer.Option("--allow-leak", help="Train even if the splits leak; every output will say so.")
]
Device = Annotated[str, typer.Option("--device", help="Compute device: auto, cpu, cuda or mps.")]
Processes = Annotated[int, typer.Option("--processes", min=1, help="Processes (one per GPU) that share each batch.")]


def train(
    tileset: TilesArgument,
    output: Output,
    recipe: RecipeOption = None,
    student: Annotated[
        bool, typer.Option("--student", help="Train the student of the recipe, without a teacher.")
    ] = False,
    network: Network = None,
    head: Head = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: Rate = None,
    precision: Precision = None,
    seed: Seed = None,
    changes: Changes = None,
    resume: Resume = False,
    allow_leak: AllowLeak = False,
    device: Device = "auto",
    processes: Processes = 1,
) -> None:
    """Train a teacher, or a student alone, on the training split of a TileSet.

    The epoch is selected on the validation split; the test split is not read. If the recipe describes a
    teacher–student pair, the teacher is trained unless --student is given. Options override the recipe; the complete
    recipe is saved with the run.

    Examples:

      hviskd train tiles -o runs/teacher --recipe laptop

      hviskd train tiles -o runs/alone --recipe laptop --student

      hviskd train tiles -o runs/vgg19 --network vgg19 --epochs 60 --set weight_decay=0.001

      hviskd train tiles -o runs/teacher --recipe laptop --resume
    """
    from hviskd.training import load_recipe

    flags = _flags(network, head, epochs, batch_size, learning_rate, precision, seed, changes)
    made = load_recipe(recipe, "alone" if student else "teacher", flags)
    _run(tileset, output, made, None, resume, allow_leak, device, processes)


def distill(
    tileset: TilesArgument,
    output: Output,
    teacher: Annotated[Path, typer.Option("--teacher", help="Teacher: a Model folder or a finished run.")],
    recipe: RecipeOption = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            help="Distillation method, for example kd, dkd or hviskd.",
            show_default="from the recipe",
        ),
    ] = None,
    network: Network = None,
    head: Head = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    learning_rate: Rate = None,
    precision: Precision = None,
    seed: Seed = None,
    changes: Changes = None,
    resume: Resume = False,
    allow_leak: AllowLeak = False,
    device: Device = "auto",
    processes: Processes = 1,
) -> None:
    """Distil a teacher into a student on the training split of a TileSet.

    The epoch is selected on the validation split; the test split is not read. Options override the recipe; the complete
    recipe is saved with the run.

    Examples:

      hviskd distill tiles -o runs/student --teacher runs/teacher --recipe laptop

      hviskd distill tiles -o runs/kd --teacher runs/teacher --recipe laptop --method kd

      hviskd distill tiles -o runs/s --teacher runs/teacher --network resnet8 --set methods.hviskd.scale=student
    """
    from hviskd.models import load_model
    from hviskd.training import load_recipe

    flags = _flags(network, head, epochs, batch_size, learning_rate, precision, seed, changes)
    flags = ({"methods": method} if method else {}) | flags
    made = load_recipe(recipe, "distilled", flags)
    _run(tileset, output, made, load_model(teacher), resume, allow_leak, device, processes)


def _flags(
    network: str | None,
    head: str | None,
    epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    precision: str | None,
    seed: int | None,
    changes: list[str] | None,
) -> dict[str, Any]:
    """Gather the options that were given, by the recipe's keys."""
    from hviskd.errors import RecipeError
    from hviskd.training.recipe import parse_value

    named = {
        "network": network,
        "head": head,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "precision": precision,
        "seed": seed,
    }
    given = {key: value for key, value in named.items() if value is not None}
    for change in changes or []:
        key, equals, value = change.partition("=")
        if not equals:
            raise RecipeError(f"--set {change}: write KEY=VALUE")
        given[key] = parse_value(value)
    return given


def _run(
    tileset: Path,
    output: Path,
    recipe: "Recipe",
    teacher: "Model | None",
    resume: bool,
    allow_leak: bool,
    device: str,
    processes: int,
) -> None:
    from hviskd.tiles import TileSet
    from hviskd.training import train as fit

    try:
        run = fit(
            recipe,
            TileSet.open(tileset),
            output,
            teacher=teacher,
            resume=resume,
            allow_leak=allow_leak,
            device=device,
            processes=processes,
        )
    except KeyboardInterrupt:
        typer.echo(f"interrupted; repeat the command with --resume to continue {output}", err=True)
        raise typer.Exit(130) from None
    if os.environ.get("LOCAL_RANK", "0") == "0":  # of several processes one speaks
        _summary(run)


def _summary(run: "Run") -> None:
    card, chosen, last = run.card, run.chosen(), run.last()
    typer.echo(f"{chosen.card.network.name}, {chosen.parameters:,} parameters; {', '.join(chosen.card.classes)}")
    typer.echo(card["independence"])
    for model in (chosen, last):
        val = {name.removeprefix("val_"): value for name, value in model.card.metrics.items() if value is not None}
        shown = (
            ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in val.items()) or "no validation split"
        )
        typer.echo(f"epoch {model.card.epoch} ({model.card.selection.replace('_', ' ')}): {shown}")
        typer.echo(f"  {model.folder}")
    typer.echo(f"log {run.log_file}, curves {run.curves_file}")
    typer.echo(
        "when all arms are trained, evaluate them once on the test split: hviskd evaluate RUN … --tiles TILESET -o DIR"
    )
