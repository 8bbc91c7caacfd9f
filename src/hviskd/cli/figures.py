"""`hviskd figures curves`, `roc`, `radar`, `confusion` and `gain`: the figures of a paper from folders that stand."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

figures_app = typer.Typer(no_args_is_help=True, help="Draw the figures of a paper from runs, evaluations, comparisons.")

Evaluations = Annotated[list[Path], typer.Argument(metavar="EVALUATION...", help="Folders of `hviskd evaluate`.")]
Output = Annotated[Path, typer.Option("-o", "--output", metavar="FILE.png", help="The picture to write.")]
Only = Annotated[
    str | None,
    typer.Option("--only", metavar="A,B,C", help="Draw only these models or ways of training, in this order."),
]


@figures_app.command()
def curves(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of `hviskd train` or `distill`.")],
    output: Output,
) -> None:
    """Draw top-1, every loss term and the learning rate of trainings against the epoch; a star: the chosen epoch.

    Examples:

      hviskd figures curves runs/alone runs/kd runs/hviskd -o curves.png
    """
    from hviskd.reports.figures import png_path, training_curves

    png_path(output)
    _write(training_curves(folders), output)


@figures_app.command()
def roc(folders: Evaluations, output: Output, only: Only = None) -> None:
    """Draw ROC curves: averaged over the classes (macro, micro) in one panel, and a panel for each class.

    Examples:

      hviskd figures roc evaluation -o roc.png

      hviskd figures roc evaluation -o roc.png --only alone,kd,hviskd
    """
    from hviskd.reports.figures import average_roc, png_path

    png_path(output)
    _write(average_roc(folders, only=_list(only)), output)


@figures_app.command()
def radar(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER...", help="Folders of `hviskd evaluate`, or of `hviskd compare`.")
    ],
    output: Output,
    metric: Annotated[
        str | None,
        typer.Option("--metric", help="Over classes: recall, precision, f1, auroc; over pairs: top1, "
                     "balanced_accuracy, macro_auroc. Default: recall, top1."),
    ] = None,
    centre: Annotated[
        float, typer.Option("--from", help="The value in the middle, 0 to below 1; the picture says it.")
    ] = 0.0,
    only: Only = None,
) -> None:  # fmt: skip
    """Draw polygons: a model over the classes of an evaluation, or a way of training over the pairs of a comparison.

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
    _write(figure, output)
    typer.echo(f"the middle of the picture stands for {100 * centre:g} %")


@figures_app.command()
def confusion(
    folders: Evaluations,
    output: Output,
    classes: Annotated[
        str | None, typer.Option("--classes", metavar="A,B,C", help="Draw only these classes, in this order.")
    ] = None,
    only: Only = None,
) -> None:
    """Draw confusion matrices; with --classes, what went to classes that are not drawn is said beside the matrix.

    Examples:

      hviskd figures confusion evaluation -o confusion.png

      hviskd figures confusion evaluation -o tumour.png --classes CT,CTmvp,CTpan,CTpnz --only kd,hviskd
    """
    from hviskd.reports.figures import confusion_matrices, png_path

    png_path(output)
    _write(confusion_matrices(folders, classes=_list(classes), only=_list(only)), output)


@figures_app.command()
def gain(
    folders: Annotated[list[Path], typer.Argument(metavar="COMPARISON...", help="Folders of `hviskd compare`.")],
    output: Output,
    only: Only = None,
) -> None:
    """Draw what each way of training gained over KD against what it gained over the student trained alone.

    Examples:

      hviskd figures gain comparison -o gain.png

      hviskd figures gain laptop table1 -o gain.png --only hviskd,crd
    """
    from hviskd.reports.figures import gain_plot, png_path

    png_path(output)
    _write(gain_plot(folders, only=_list(only)), output)


def _list(names: str | None) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()] if names else []


def _write(figure: "Figure", output: Path) -> None:
    from hviskd.pictures import save_figure

    typer.echo(f"wrote {save_figure(figure, output)}")
