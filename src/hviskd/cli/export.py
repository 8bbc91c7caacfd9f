"""`hviskd export`: a Model for other programs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class _To(StrEnum):
    onnx = "onnx"
    openvino = "openvino"
    torchscript = "torchscript"
    wsinfer = "wsinfer"


def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A Model folder or a finished run.")],
    to: Annotated[_To, typer.Option("--to", help="The format; wsinfer is what QuPath reads too.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The file (onnx, torchscript) or folder (openvino, wsinfer).")
    ],
    mpp: Annotated[
        float | None, typer.Option("--mpp", help="µm per pixel of the training tiles, where the Model does not say.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what stands there.")] = False,
) -> None:
    """Write a Model in the format of another program.

    What was written is read back and must give torch's probabilities, or nothing is written. onnx, openvino and
    torchscript take uint8 RGB tiles (batch, height, width, 3) and give probabilities. onnx and openvino are int8 where
    the Model has an int8 variant.

    Examples:

      hviskd export runs/student --to wsinfer -o qupath/student

      hviskd export runs/student --to onnx -o student.onnx

      hviskd export student-int8 --to openvino -o student-openvino
    """
    from hviskd.models import load_model
    from hviskd.models.export import NOTICE, export_model

    loaded = load_model(model)
    written = export_model(loaded, to.value, output, mpp=mpp, overwrite=overwrite)
    typer.echo(
        f"{loaded.card.name} ({loaded.card.network.name}), {written.precision}: on {written.check_tiles} drawn tiles "
        f"a probability differs from torch's by at most {written.largest_difference:.1e}"
    )
    if written.precision == "int8" and (int8 := loaded.card.int8):
        typer.echo(f"top-1 on {int8.val_tiles:,} val tiles: {int8.top1_float:.1%} float32, {int8.top1_int8:.1%} int8")
    for remark in written.remarks:
        typer.echo(remark)
    typer.echo(NOTICE)
    typer.echo(f"wrote {written.path}")
