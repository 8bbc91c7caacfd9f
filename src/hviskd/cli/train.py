"""`hviskd train` and `hviskd distill`: train a network according to a recipe."""

import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hviskd.cli.answers import Answer, answering
from hviskd.cli.changes import parse_changes
from hviskd.cli.option_groups import with_groups
from hviskd.cli.status import Status

if TYPE_CHECKING:
    from hviskd.training import Recipe, Run, Teaching
    from hviskd.training.recipe import Role

TilesArgument = Annotated[
    Path, typer.Argument(metavar="TILESET", help="TileSet with a training and a validation split.")
]
Output = Annotated[
    Path, typer.Option("-o", "--output", help="Folder for the run; must be new, unless --resume is given.")
]
_FROM_RECIPE = "from the recipe"
_NO_THRESHOLD = "no threshold was found for coarse to fine: at low power, too many validation tiles change class"


@dataclass(frozen=True)
class RecipeOptions:
    """The recipe and its changes; all fields except the first and the last are keys of the recipe."""

    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            help="YAML file, or name of a built-in recipe (see `hviskd recipes`).",
            show_default="the paper's settings; needs --network",
        ),
    ] = None
    network: Annotated[
        str | None,
        typer.Option(
            "--network",
            help="Network to train (see `hviskd networks`), also of timm: timm:NAME.",
            show_default=_FROM_RECIPE,
        ),
    ] = None
    head: Annotated[
        str | None,
        typer.Option(
            "--head",
            help="Classifier head: gap (global average), grid (the paper's) or token (a transformer's class token).",
            show_default=_FROM_RECIPE,
        ),
    ] = None
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            metavar="PATH",
            help="Start from weights in a file (safetensors, .pth) or folder, or from hf-hub:OWNER/NAME, which timm "
            "downloads.",
            show_default="random weights",
        ),
    ] = None
    weights_licence: Annotated[
        str | None,
        typer.Option(
            "--weights-licence",
            help="Licence of these weights, for example apache-2.0.",
            show_default="as folder or name tell",
        ),
    ] = None
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", min=1, help="Number of passes over the training split.", show_default=_FROM_RECIPE),
    ] = None
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", min=2, help="Number of tiles per training step.", show_default=_FROM_RECIPE),
    ] = None
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Initial learning rate.", show_default=_FROM_RECIPE)
    ] = None
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision", help="Numerical precision: 32-true, bf16-mixed or 16-mixed.", show_default=_FROM_RECIPE
        ),
    ] = None
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            min=0,
            help="Random seed for initial weights, tile order and augmentation.",
            show_default=_FROM_RECIPE,
        ),
    ] = None
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set any other recipe key; write nested keys with dots."),
    ] = None

    def load(self, role: "Role", **more: Any) -> "Recipe":
        """Load the recipe with the given changes, and `more` of its keys unless they are None."""
        from hviskd.training import load_recipe

        keys = {field.name: getattr(self, field.name) for field in fields(self)[1:-1]}
        given = {key: value for key, value in (more | keys).items() if value is not None}
        return load_recipe(self.recipe, given | parse_changes(self.changes, "weight_decay=0.001"), role=role)


@dataclass(frozen=True)
class TrainingOptions:
    """How to train, independently of the recipe."""

    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="Train even if the splits leak; every output will say so.")
    ] = False
    device: Annotated[str, typer.Option("--device", help="Compute device: auto, cpu, cuda or mps.")] = "auto"
    processes: Annotated[
        int, typer.Option("--processes", min=1, help="Processes (one per GPU) that share each batch.")
    ] = 1
    nodes: Annotated[
        int, typer.Option("--nodes", min=1, help="Computers over which torchrun or SLURM has started the processes.")
    ] = 1


@dataclass(frozen=True)
class TeachingOptions:
    """How what is read of the teacher reaches the student, and on which tiles."""

    unlabelled: Annotated[
        Path | None,
        typer.Option(
            "--unlabelled",
            metavar="TILESET",
            help="Tiles that join without labels (see hviskd tiles cut --unlabelled); on them only what needs no label "
            "counts.",
            show_default="none",
        ),
    ] = None

    cache: Annotated[
        bool | None,
        typer.Option(
            "--cache/--no-cache",
            help="Store what is read of the teacher, once for all views of all tiles, instead of running it at every "
            "step.",
            show_default="if all methods can read it, it saves time and fits",
        ),
    ] = None
    allow_weak: Annotated[
        bool,
        typer.Option(
            "--allow-weak-teacher",
            help="Distil even if the teacher is no better than a guess on the validation split; outputs say so.",
        ),
    ] = False
    cache_folder: Annotated[
        Path | None,
        typer.Option("--cache-folder", help="Folder of all caches.", show_default="in the user's cache folder"),
    ] = None
    cache_gb: Annotated[float, typer.Option("--cache-gb", help="Largest size of a cache, in gigabytes.")] = 10.0
    cache_precision: Annotated[
        str, typer.Option("--cache-precision", help="Precision of stored features: float32 or float16.")
    ] = "float32"


@answering
@with_groups
def train(
    tileset: TilesArgument,
    output: Output,
    *,
    student: Annotated[
        bool, typer.Option("--student", help="Train the student of the recipe, without a teacher.")
    ] = False,
    probe: Annotated[
        bool,
        typer.Option("--probe", help="Fit only the classifier, as a linear probe on the network's features."),
    ] = False,
    finetune: Annotated[
        Path | None,
        typer.Option(
            "--finetune",
            metavar="MODEL",
            help="Train all weights of this run or Model further, by the recipe `finetune` unless --recipe is given.",
            show_default="start from random weights",
        ),
    ] = None,
    recipe: RecipeOptions,
    how: TrainingOptions,
) -> Answer:
    """Train a teacher, or a student alone, on the training split of a TileSet.

    The epoch is selected on the validation split; the test split is not read. If the recipe describes a
    teacher–student pair, the teacher is trained unless --student is given. Options override the recipe; the complete
    recipe is saved with the run.

    Examples:

      hviskd train tiles -o runs/teacher --recipe laptop

      hviskd train tiles -o runs/alone --recipe laptop --student

      hviskd train tiles -o runs/vgg19 --network vgg19 --epochs 60 --set weight_decay=0.001

      hviskd train tiles -o runs/teacher --network timm:vit_small_patch16_224 --weights encoder/model.safetensors

      hviskd train tiles -o runs/teacher --recipe laptop --resume

      hviskd train tiles -o runs/probe --network timm:efficientnet_lite0 --weights efficientnet_lite0.pth --probe

      hviskd train tiles -o runs/teacher --finetune runs/probe
    """
    more: dict[str, Any] = {"probe": True} if probe else {}
    if finetune is not None:
        more["start"] = str(finetune)
        recipe = recipe if recipe.recipe or probe else replace(recipe, recipe="finetune")
    return _run(tileset, output, recipe.load("student" if student else "teacher", **more), None, how)


@answering
@with_groups
def distill(
    tileset: TilesArgument,
    output: Output,
    *,
    teacher: Annotated[Path, typer.Option("--teacher", help="Teacher: a Model folder or a finished run.")],
    method: Annotated[
        str | None,
        typer.Option("--method", help="Distillation method, for example kd, dkd or hviskd.", show_default=_FROM_RECIPE),
    ] = None,
    recipe: RecipeOptions,
    teaching: TeachingOptions,
    how: TrainingOptions,
) -> Answer:
    """Distil a teacher into a student on the training split of a TileSet.

    The epoch is selected on the validation split; the test split is not read. Options override the recipe; the complete
    recipe is saved with the run.

    Where possible, what the methods read of the teacher is stored: the teacher runs 8 times over the training tiles
    (once per view) and never again, also not in other distillations from the same teacher and tiles.

    Examples:

      hviskd distill tiles -o runs/student --teacher runs/teacher --recipe laptop

      hviskd distill tiles -o runs/kd --teacher runs/teacher --recipe laptop --method kd

      hviskd distill tiles -o runs/s --teacher runs/teacher --network resnet8 --set methods.hviskd.scale=student

      hviskd distill tiles -o runs/more --teacher runs/teacher --recipe laptop --unlabelled more-tiles
    """
    from dataclasses import asdict

    from hviskd.training import Teaching

    taught = Teaching(teacher, **asdict(teaching))
    return _run(tileset, output, recipe.load("distilled student", methods=method), taught, how)


def _run(tileset: Path, output: Path, recipe: "Recipe", teacher: "Teaching | None", how: TrainingOptions) -> Answer:
    from hviskd.tiles import TileSet
    from hviskd.training import Devices
    from hviskd.training import train as fit

    try:
        run = fit(
            recipe,
            TileSet.open(tileset),
            output,
            teacher=teacher,
            resume=how.resume,
            allow_leak=how.allow_leak,
            device=Devices(how.device, how.processes, how.nodes),
        )
    except KeyboardInterrupt:
        typer.echo(f"interrupted; repeat the command with --resume to continue {output}", err=True)
        raise typer.Exit(Status.INTERRUPTED) from None
    if not speaks(how.processes):
        return Answer({})
    _summary(run)
    return Answer({"output": output, **_about(run)})


def _about(run: "Run") -> dict[str, Any]:
    """Return what a program needs to know of a finished run."""
    chosen, last = run.chosen(), run.last()
    models = [
        {
            "folder": model.folder,
            "epoch": model.card.epoch,
            "selection": model.card.selection,
            "validation": {name.removeprefix("val_"): value for name, value in model.card.metrics.items()},
            "coarse_to_fine": model.card.coarse_to_fine,
        }
        for model in (chosen, last)
    ]
    facts = {"network": chosen.card.network.name, "parameters": chosen.parameters, "classes": chosen.card.classes}
    data = {"independence": run.card["independence"], "licences": chosen.card.licences, "log": run.log_file}
    return {**facts, "models": models, **data}


def speaks(processes: int) -> bool:
    """Whether this is the first of the processes of a training, as torchrun, Fabric or SLURM number them.

    One that trains alone speaks whatever its number is: a queue numbers those that have nothing to do with each other.
    """
    if processes == 1:
        return True
    ranks = (os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    return next(filter(None, ranks), "0") == "0"


def _summary(run: "Run") -> None:
    card, chosen, last = run.card, run.chosen(), run.last()
    typer.echo(f"{chosen.card.network.name}, {chosen.parameters:,} parameters; {', '.join(chosen.card.classes)}")
    typer.echo(card["independence"])
    if more := card.get("unlabelled"):
        typer.echo(f"{more['tiles']:,} tiles of {more['name']} joined without labels")
    if "teacher" in card:
        typer.echo(card["teacher"])
    if chosen.card.pretrained is not None:
        typer.echo(chosen.card.pretrained)
    for licence in chosen.card.licences:
        if licence.terms is not None:
            typer.echo(f"before you pass it on: {licence}")
    for model in (chosen, last):
        val = {name.removeprefix("val_"): value for name, value in model.card.metrics.items() if value is not None}
        shown = (
            ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in val.items()) or "no validation split"
        )
        typer.echo(f"epoch {model.card.epoch} ({model.card.selection}): {shown}")
        if model.card.recipe.get("low_power"):
            typer.echo(f"  {model.card.coarse_to_fine or _NO_THRESHOLD}")
        typer.echo(f"  {model.folder}")
    typer.echo(f"log {run.log_file}, curves {run.curves_file}")
    typer.echo(
        "to choose among runs: hviskd evaluate RUN … --tiles TILESET --split val -o DIR; once all are chosen, the same "
        "without --split, on the test split"
    )
