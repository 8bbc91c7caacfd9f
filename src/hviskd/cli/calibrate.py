"""`hviskd calibrate`: a Model whose probabilities mean what they say, and which knows where it is unsure."""

from pathlib import Path
from typing import Annotated

import typer


def calibrate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A Model folder or a finished run.")],
    tileset: Annotated[Path, typer.Argument(metavar="TILESET", help="Tiles of other patients, with a val split.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of the new Model; MODEL-calibrated if not given.")
    ] = None,
    accuracy: Annotated[
        float, typer.Option("--accuracy", help="Share of tiles that shall be right where the Model is sure.")
    ] = 0.95,
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="Go on although the Model may know the val tiles.")
    ] = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output folder.")] = False,
) -> None:
    """Fit a Model's probabilities to how often it is right (temperature scaling), and find where it is unsure.

    Only the val split is read. No tile's class changes. `hviskd segment` draws what is less probable than the
    threshold as unsure. Research software, not a medical device.

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
    claimed = "too much" if record.temperature > 1 else "too little"
    typer.echo(f"temperature {record.temperature:.3f}: the Model had claimed {claimed}")
    typer.echo(
        f"calibration error on {record.val_tiles:,} val tiles: {record.ece_before:.3f} before, {record.ece_after:.3f} "
        "after; it was fitted on these tiles, measure it on others with `hviskd evaluate`"
    )
    if record.unsure_below is None:
        typer.echo(f"at no probability {accuracy:.0%} of the val tiles are right: no threshold is kept")
    else:
        typer.echo(
            f"unsure below {record.unsure_below:.3f}: {record.sure_share:.0%} of the val tiles are more probable, and "
            f"{accuracy:.0%} or more of these are right"
        )
    if loaded.card.int8 is not None:
        typer.echo("the int8 variant was left out, for it holds the old probabilities; run `hviskd quantize` again")
    typer.echo(f"wrote {made.folder}")
