"""`hviskd calibrate`: temperature scaling, and a threshold below which a Model is unsure."""

from pathlib import Path
from typing import Annotated

import typer

from hviskd.cli.answers import Answer, answering


@answering
def calibrate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder or finished run.")],
    tileset: Annotated[
        Path,
        typer.Argument(
            metavar="TILESET", help="TileSet with a validation split of patients that MODEL was not trained on."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder for the calibrated Model.", show_default="MODEL-calibrated"),
    ] = None,
    accuracy: Annotated[
        float, typer.Option("--accuracy", help="Accuracy required of the tiles above the threshold, as a fraction.")
    ] = 0.95,
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="Continue even if MODEL may have been trained on the validation tiles.")
    ] = False,
    device: Annotated[str, typer.Option("--device", help="Compute device: auto, cpu, cuda or mps.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output folder.")] = False,
) -> Answer:
    """Calibrate a Model's probabilities (temperature scaling), and find the threshold below which it is unsure.

    Reads only the validation split. No tile's class changes. `hviskd segment` marks tiles below the threshold as
    unsure. Research software, not a medical device.

    Examples:

      hviskd calibrate runs/student tiles -o student-calibrated

      hviskd calibrate runs/student tiles -o student-strict --accuracy 0.99
    """
    from hviskd.evaluation.calibration import calibrate as fit
    from hviskd.models import load_model
    from hviskd.tiles import TileSet

    loaded = load_model(model)
    target = output or loaded.folder.with_name(f"{loaded.folder.name}-calibrated")
    made = fit(
        loaded,
        TileSet.open(tileset),
        target,
        accuracy=accuracy,
        allow_leak=allow_leak,
        device=device,
        overwrite=overwrite,
    )
    record = made.card.calibration
    assert record is not None
    confidence = "overconfident" if record.temperature > 1 else "underconfident"
    typer.echo(f"temperature {record.temperature:.3f}: the Model was {confidence}")
    typer.echo(
        f"calibration error on {record.val_tiles:,} validation tiles: {record.ece_before:.3f} before, "
        f"{record.ece_after:.3f} after (fitted on these tiles; measure it on others with `hviskd evaluate`)"
    )
    if record.unsure_below is None:
        typer.echo(f"no threshold: at no probability are {accuracy:.0%} of the validation tiles correct")
    else:
        typer.echo(
            f"unsure below {record.unsure_below:.3f}: {record.sure_share:.0%} of the validation tiles are above, and "
            f"at least {accuracy:.0%} of these are correct"
        )
    if loaded.card.coarse_to_fine is not None:
        typer.echo(made.card.coarse_to_fine or "no threshold was found for coarse to fine any more")
    if loaded.card.int8 is not None:
        typer.echo(
            "the int8 variant was left out, since its probabilities are uncalibrated; run `hviskd quantize` again"
        )
    typer.echo(f"wrote {made.folder}")
    return Answer({"output": made.folder, "calibration": record})
