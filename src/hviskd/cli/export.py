"""`hviskd export`: write a Model for other programs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hviskd.cli.answers import Answer, answering
from hviskd.cli.spelling import say


class _To(StrEnum):
    onnx = "onnx"
    openvino = "openvino"
    torchscript = "torchscript"
    wsinfer = "wsinfer"


@answering
def export(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder or finished run.")],
    to: Annotated[_To, typer.Option("--to", help="Output format; QuPath reads wsinfer.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Output file (onnx, torchscript) or folder (openvino, wsinfer).")
    ],
    mpp: Annotated[
        float | None,
        typer.Option("--mpp", help="Pixel size of the training tiles in µm/px, if the Model does not record it."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")] = False,
) -> Answer:
    """Export a Model for another program: QuPath and WSInfer, ONNX, OpenVINO or TorchScript.

    The exported file is read back and must reproduce torch's probabilities; otherwise nothing is written. onnx,
    openvino and torchscript take uint8 RGB tiles (batch, height, width, 3) and return probabilities. onnx and openvino
    use int8 if the Model has an int8 variant.

    Examples:

      hviskd export runs/student --to wsinfer -o qupath/student

      hviskd export runs/student --to onnx -o student.onnx

      hviskd export student-int8 --to openvino -o student-openvino
    """
    from hviskd.models import load_model
    from hviskd.models.export import export_model
    from hviskd.version import NOTICE

    loaded = load_model(model)
    written = export_model(loaded, to.value, output, mpp=mpp, overwrite=overwrite)
    typer.echo(
        f"{loaded.card.name} ({loaded.card.network.name}), {written.precision}: on {written.check_tiles} synthetic "
        f"tiles, probabilities differ from torch's by at most {written.largest_difference:.1e}"
    )
    if written.precision == "int8" and (int8 := loaded.card.int8):
        typer.echo(
            f"top-1 on {int8.val_tiles:,} validation tiles: {int8.top1_float:.1%} float32, {int8.top1_int8:.1%} int8"
        )
    for remark in written.remarks:
        say(remark, context)
    typer.echo(NOTICE)
    typer.echo(f"wrote {written.path}")
    facts = {"precision": written.precision, "check_tiles": written.check_tiles, "remarks": written.remarks}
    return Answer({"output": written.path, "largest_difference": written.largest_difference, **facts})
