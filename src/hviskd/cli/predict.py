"""`hviskd predict`: class probabilities of pictures or tiles without labels, as Parquet or CSV."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hviskd.cli.answers import Answer, answering
from hviskd.cli.spelling import say
from hviskd.cli.status import Status

if TYPE_CHECKING:
    from hviskd.models.predicting import Predictions

_LISTED = 50  # files that were left out


@answering
def predict(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder or finished run.")],
    pictures: Annotated[
        Path,
        typer.Argument(metavar="FOLDER|TILESET", help="Folder with images at any depth, or a TileSet."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="File for the probabilities, .parquet or .csv.")],
    split: Annotated[
        str | None,
        typer.Option("--split", help="Split of the TileSet: test, val or train.", show_default="all tiles"),
    ] = None,
    resize: Annotated[
        bool,
        typer.Option(
            "--resize", help="Resample the largest centred square of each image to the size that MODEL reads."
        ),
    ] = False,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", min=1, help="Number of tiles per batch.", show_default="suited to the device"),
    ] = None,
    device: Annotated[str, typer.Option("--device", help="Compute device: auto, cpu, cuda or mps.")] = "auto",
    int8: Annotated[bool, typer.Option("--int8", help="Run MODEL's int8 variant, on the CPU.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
) -> Answer:
    """Classify images (JPEG, PNG, TIFF, WebP) or tiles without labels, and write the probability of every class.

    Each row has the file, the probability of each class, the most probable class and its probability, and, if MODEL was
    calibrated, whether it is unsure. Images of another size than MODEL reads, and damaged ones, are left out and
    listed; then the exit status is 1. For whole slides, use hviskd segment. Research software, not a medical device.

    Examples:

      hviskd predict runs/student new-tiles -o new-tiles.csv

      hviskd predict runs/student photos -o photos.parquet --resize

      hviskd predict runs/student tiles -o test.parquet --split test
    """
    from hviskd.models import Compute
    from hviskd.models import predict as classify
    from hviskd.models.predicting import said

    compute = Compute(precision="int8" if int8 else "auto", device=device, batch_size=batch_size)
    made = classify(model, pictures, output, split=split, resize=resize, compute=compute, overwrite=overwrite)
    for name, count in made.counts.items():
        typer.echo(f"{count:8,}  {name}")
    if made.unsure is not None:
        typer.echo(f"{made.unsure:,} of {len(made):,} unsure: below the model's threshold")
    for note in made.notes:
        say(f"note: {note}", context)
    _print_left_out(made, context)
    typer.echo(f"wrote {made.file}")
    left_out = {name: said(why) for name, why in made.left_out.items()}
    facts = {"counts": made.counts, "unsure": made.unsure, "left_out": left_out, "notes": made.notes}
    return Answer({"output": made.file, "classified": len(made), **facts}, Status.partly(left_out))


def _print_left_out(made: "Predictions", context: typer.Context) -> None:
    from hviskd.models.predicting import said

    if not made.left_out:
        return
    reasons = Counter(why.reason for why in made.left_out.values())
    typer.echo(f"left out: {', '.join(f'{count:,} {reason}' for reason, count in reasons.items())}")
    for name, why in list(made.left_out.items())[:_LISTED]:
        typer.echo(f"  {name}: {said(why)}")
    if len(made.left_out) > _LISTED:
        typer.echo(f"  and {len(made.left_out) - _LISTED:,} more")
    if any(reason.startswith("not ") for reason in reasons):
        say("note: `resize=True` takes images of other sizes, too", context)
