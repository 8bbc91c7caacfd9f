"""`hviskd figures curves`, `roc`, `radar`, `confusion` and `gain`: figures for a paper from result folders."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hviskd.cli.answers import Answer, answering

if TYPE_CHECKING:
    from matplotlib.figure import Figure

figures_app = typer.Typer(no_args_is_help=True, help="Draw figures for a paper from runs, evaluations and comparisons.")

Evaluations = Annotated[
    list[Path], typer.Argument(metavar="EVALUATION...", help="Folders written by `hviskd evaluate`.")
]
Output = Annotated[Path, typer.Option("-o", "--output", metavar="FILE.png", help="PNG file to write.")]
Only = Annotated[
    str | None,
    typer.Option("--only", metavar="A,B,C", help="Draw only these models or methods, in this order."),
]


@figures_app.command()
@answering
def curves(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Folders written by `hviskd train` or `distill`.")
    ],
    output: Output,
) -> Answer:
    """Draw training curves: top-1, loss terms and learning rate against the epoch; a star marks the selected epoch.

    Examples:

      hviskd figures curves runs/alone runs/kd runs/hviskd -o curves.png
    """
    from hviskd.reports.figures import png_path, training_curves

    png_path(output)
    return _write(training_curves(folders), output)


@figures_app.command()
@answering
def roc(folders: Evaluations, output: Output, only: Only = None) -> Answer:
    """Draw ROC curves: macro and micro averages in one panel, and one panel per class.

    Examples:

      hviskd figures roc evaluation -o roc.png

      hviskd figures roc evaluation -o roc.png --only alone,kd,hviskd
    """
    from hviskd.reports.figures import average_roc, png_path

    png_path(output)
    return _write(average_roc(folders, only=_list(only)), output)


@figures_app.command()
@answering
def radar(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER...", help="Folders written by `hviskd evaluate`, or by `hviskd compare`."),
    ],
    output: Output,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            help="Per class: recall, precision, f1 or auroc; per pair: top1, balanced_accuracy or macro_auroc.",
            show_default="recall, or top1",
        ),
    ] = None,
    centre: Annotated[
        float, typer.Option("--from", help="Value at the centre, from 0 to below 1; stated in the figure.")
    ] = 0.0,
    only: Only = None,
) -> Answer:
    """Draw radar charts: one value per class of an evaluation, or per teacher–student pair of a comparison.

    Examples:

      hviskd figures radar evaluation -o recall.png --only alone,kd,hviskd

      hviskd figures radar evaluation -o auroc.png --metric auroc --from 0.5

      hviskd figures radar comparison -o pairs.png
    """
    from hviskd.reports.figures import class_radar, pair_radar, png_path
    from hviskd.reports.figures.sources import is_evaluation

    png_path(output)
    if is_evaluation(folders[0]):
        figure = class_radar(folders, metric=metric or "recall", centre=centre, only=_list(only))
    else:
        figure = pair_radar(folders, metric=metric or "top1", centre=centre, only=_list(only))
    typer.echo(f"the centre of the figure is {100 * centre:g} %")
    return _write(figure, output)


@figures_app.command()
@answering
def confusion(
    folders: Evaluations,
    output: Output,
    classes: Annotated[
        str | None, typer.Option("--classes", metavar="A,B,C", help="Draw only these classes, in this order.")
    ] = None,
    only: Only = None,
) -> Answer:
    """Draw confusion matrices; with --classes, predictions of other classes are stated beside the matrix.

    Examples:

      hviskd figures confusion evaluation -o confusion.png

      hviskd figures confusion evaluation -o tumour.png --classes CT,CTmvp,CTpan,CTpnz --only kd,hviskd
    """
    from hviskd.reports.figures import confusion_matrices, png_path

    png_path(output)
    return _write(confusion_matrices(folders, classes=_list(classes), only=_list(only)), output)


@figures_app.command()
@answering
def gain(
    folders: Annotated[
        list[Path], typer.Argument(metavar="COMPARISON...", help="Folders written by `hviskd compare`.")
    ],
    output: Output,
    only: Only = None,
) -> Answer:
    """Draw the gain of each method over KD against its gain over the student alone.

    Examples:

      hviskd figures gain comparison -o gain.png

      hviskd figures gain laptop table1 -o gain.png --only hviskd,crd
    """
    from hviskd.reports.figures import gain_plot, png_path

    png_path(output)
    return _write(gain_plot(folders, only=_list(only)), output)


def _list(names: str | None) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()] if names else []


def _write(figure: "Figure", output: Path) -> Answer:
    from hviskd.pictures import save_figure

    typer.echo(f"wrote {save_figure(figure, output)}")
    return Answer({"output": output})
