"""`hviskd quantize`: a Model that runs faster on a CPU, in whole numbers of 8 bits."""

from pathlib import Path
from typing import Annotated

import typer


def quantize(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A Model folder or a finished run.")],
    tileset: Annotated[
        Path, typer.Argument(metavar="TILESET", help="Tiles like those it learned from, with a val split.")
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of the new Model; MODEL-int8 if not given.")
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option("--tolerance", min=0, max=100, help="How far top-1 on val may fall, in percentage points."),
    ] = 0.5,
    calibration: Annotated[
        int, typer.Option("--calibration", min=1, help="Tiles from which the range of every map is taken.")
    ] = 512,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="All that may be used if not given.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Draws the calibration tiles.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output folder.")] = False,
) -> None:
    """Make an int8 variant of a Model, two to four times as fast on a CPU, and measure what it costs.

    Ranges are taken from tiles of the train split; top-1 is measured on the val split before and after. If it falls by
    more than the tolerance nothing is written. The test split is not read.

    The new Model holds the float weights too: whatever cannot run int8, as a GPU, takes those.

    Examples:

      hviskd quantize runs/student tiles -o student-int8

      hviskd quantize runs/student/model tiles --calibration 2000 --tolerance 1
    """
    from hviskd.models import load_model
    from hviskd.models.quantization import quantize as make_int8
    from hviskd.tiles import TileSet

    loaded = load_model(model)
    target = output or loaded.folder.with_name(f"{loaded.folder.name}-int8")
    made = make_int8(
        loaded,
        TileSet.open(tileset),
        target,
        calibration_tiles=calibration,
        tolerance_points=tolerance,
        threads=threads,
        seed=seed,
        overwrite=overwrite,
    )
    record = made.card.int8
    assert record is not None
    typer.echo(f"calibrated on {record.calibration_tiles:,} tiles of the {record.calibration_split} split")
    typer.echo(f"top-1 on {record.val_tiles:,} val tiles: {record.top1_float:.1%} float32, {record.top1_int8:.1%} int8")
    typer.echo(f"the same class on {record.agreement:.1%} of them (measured with {record.engine})")
    typer.echo(f"wrote {made.folder}")
