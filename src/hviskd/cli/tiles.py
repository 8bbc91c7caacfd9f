"""`hviskd tiles import`, `import-cifar`, `split` and `info`: pictures become a TileSet, which is divided and shown."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hviskd.tiles import TileSet

tiles_app = typer.Typer(no_args_is_help=True, help="Make, divide and look at TileSets, which all training reads.")

TileSetArgument = Annotated[Path, typer.Argument(metavar="TILESET", help="Folder of a TileSet.")]


class _By(StrEnum):
    auto = "auto"
    patient = "patient"
    slide = "slide"
    random = "random"


@tiles_app.command("import")
def import_(
    folder: Annotated[Path, typer.Argument(help="One folder a class, or train/val/test with one folder a class each.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the new TileSet.")],
    csv: Annotated[Path | None, typer.Option("--csv", help="Table that gives each file its slide and patient.")] = None,
    file_column: Annotated[
        str, typer.Option("--file-column", help="Its column of files: path below FOLDER, name, or name without suffix.")
    ] = "file",
    slide_column: Annotated[str, typer.Option("--slide-column", help="Its column of slides.")] = "slide",
    patient_column: Annotated[str, typer.Option("--patient-column", help="Its column of patients.")] = "patient",
    tile_px: Annotated[
        int | None, typer.Option("--tile-px", min=1, help="Cut tiles of this side from the middle of each picture.")
    ] = None,
    resize: Annotated[bool, typer.Option("--resize", help="Resample whole pictures to --tile-px instead.")] = False,
    mpp: Annotated[float | None, typer.Option("--mpp", help="µm per pixel of the files as they are.")] = None,
    classes: Annotated[
        str | None, typer.Option("--classes", metavar="A,B,C", help="Names and order of the classes.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", help="The pictures' licence; it travels with all that is made of them.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a TileSet that stands there.")] = False,
) -> None:
    """Make a TileSet of pictures (JPEG, PNG, TIFF, WebP) that stand in class folders.

    Pictures that are damaged, of another size or too large are left out, counted and named.

    Examples:

      hviskd tiles import photos -o tiles --csv patients.csv --mpp 0.5

      hviskd tiles import photos -o tiles --tile-px 64 --resize --classes normal,tumour
    """
    from hviskd.tiles import check_leak, import_folder

    tileset = import_folder(
        folder,
        output,
        csv=csv,
        file_column=file_column,
        slide_column=slide_column,
        patient_column=patient_column,
        classes=[name.strip() for name in classes.split(",")] if classes else None,
        tile_px=tile_px,
        resize=resize,
        mpp=mpp,
        licence=licence,
        overwrite=overwrite,
    )
    _print_left_out(tileset)
    _print_table(tileset)
    typer.echo(check_leak(tileset).statement)
    typer.echo(f"wrote {tileset.folder}")


@tiles_app.command("import-cifar")
def import_cifar(
    archive: Annotated[
        Path, typer.Argument(help="Your copy of cifar-100-python.tar.gz, the folder it unpacks to, or an .npz.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the new TileSet.")],
    coarse: Annotated[bool, typer.Option("--coarse", help="The 20 superclasses instead of the 100 classes.")] = False,
    val: Annotated[float, typer.Option("--val", min=0, max=1, help="Share of the train pictures for choosing.")] = 0.1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed draws the same val pictures.")] = 0,
    licence: Annotated[
        str | None, typer.Option("--licence", help="The pictures' licence; it travels with all that is made of them.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a TileSet that stands there.")] = False,
) -> None:
    """Make a TileSet of CIFAR-100, on which distillation methods are compared.

    The test split stays as it is, val is drawn class by class from train, and train pictures that are in test too are
    left out. The archive's pickles are read without being run. An .npz holds images (uint8, N × side × side × 3),
    labels, classes (names), and perhaps test_images and test_labels.

    Examples:

      hviskd tiles import-cifar cifar-100-python.tar.gz -o cifar100

      hviskd tiles import-cifar cifar-100-python -o cifar20 --coarse --val 0.1 --seed 1
    """
    from hviskd.tiles import check_leak
    from hviskd.tiles import import_cifar as make

    tileset = make(archive, output, coarse=coarse, val=val, seed=seed, licence=licence, overwrite=overwrite)
    _print_left_out(tileset)
    _print_table(tileset)
    typer.echo(check_leak(tileset).statement)
    typer.echo(f"wrote {tileset.folder}")


@tiles_app.command()
def split(
    tileset: TileSetArgument,
    by: Annotated[
        _By, typer.Option("--by", help="What must not be torn apart; auto: patients, or slides if only they are known.")
    ] = _By.auto,
    val: Annotated[float, typer.Option("--val", min=0, max=1, help="Share of the tiles for choosing.")] = 0.15,
    test: Annotated[float, typer.Option("--test", min=0, max=1, help="Share of the tiles for the last look.")] = 0.15,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed divides in the same way.")] = 0,
    keep_test: Annotated[
        bool, typer.Option("--keep-test", help="Leave the test split alone and divide the rest.")
    ] = False,
) -> None:
    """Divide a TileSet into train, val and test, each class as near its share as whole patients allow.

    The division before is replaced. Tiles of one patient are alike: a random split flatters every result.

    Examples:

      hviskd tiles split tiles --by patient

      hviskd tiles split tiles --by random --val 0.2 --keep-test
    """
    from hviskd.tiles import TileSet, check_leak, split_tiles

    opened = TileSet.open(tileset)
    divided = split_tiles(opened, by=by.value, val=val, test=test, seed=seed, keep_test=keep_test)
    _print_table(divided)
    typer.echo(check_leak(divided).statement)
    typer.echo(f"wrote {divided.folder}")


@tiles_app.command()
def info(
    tileset: TileSetArgument,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Where to write the contact sheet; contact-sheet.png in the TileSet."),
    ] = None,
) -> None:
    """Count tiles by class and split, tell whether the splits leak, and draw some tiles of every class.

    Examples:

      hviskd tiles info tiles

      hviskd tiles info tiles -o sheet.png
    """
    from hviskd.tiles import TileSet, check_leak, draw_contact_sheet

    opened = TileSet.open(tileset)
    opened.check_pixels()
    scale = f"{opened.mpp:.4g} µm/px" if opened.mpp else "µm/px unknown"
    typer.echo(
        f"{len(opened):,} tiles of {opened.tile_px} px, {scale}; licence: {opened.card.origin.licence or 'unknown'}"
    )
    _print_left_out(opened)
    _print_table(opened)
    typer.echo(check_leak(opened).statement)
    typer.echo(f"wrote {draw_contact_sheet(opened, output or opened.folder / 'contact-sheet.png')}")


def _print_left_out(tileset: "TileSet") -> None:
    origin = tileset.card.origin
    if origin.dropped:
        typer.echo(f"left out: {', '.join(f'{count:,} {reason}' for reason, count in origin.dropped.items())}")
    for name in origin.dropped_files:
        typer.echo(f"  {name}")


def _print_table(tileset: "TileSet") -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    from hviskd.tiles import summary_table

    counts = summary_table(tileset)
    table = Table("class", *(Column(str(name), justify="right") for name in counts.columns))
    for name, row in counts.iterrows():
        table.add_row(Text(str(name)), *(f"{count:,}" for count in row))
    Console().print(table)
