"""`hviskd tiles import`, `import-cifar`, `split` and `info`: make, split and inspect a TileSet."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hviskd.cli.answers import Answer, answering
from hviskd.cli.count_table import print_counts

if TYPE_CHECKING:
    from hviskd.tiles import TileSet

tiles_app = typer.Typer(no_args_is_help=True, help="Make, split and inspect TileSets, the folders of labelled tiles.")

TileSetArgument = Annotated[Path, typer.Argument(metavar="TILESET", help="Folder of a TileSet.")]


class _By(StrEnum):
    auto = "auto"
    patient = "patient"
    slide = "slide"
    random = "random"


@tiles_app.command("import")
@answering
def import_(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Folder with one subfolder per class, or with train, val and test, each with one subfolder per class.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the new TileSet.")],
    csv: Annotated[
        Path | None, typer.Option("--csv", help="CSV that lists the slide and patient of each file.")
    ] = None,
    columns_file: Annotated[
        str,
        typer.Option(
            "--file-column", help="CSV column with the path below FOLDER, the file name, or the name without suffix."
        ),
    ] = "file",
    columns_slide: Annotated[str, typer.Option("--slide-column", help="CSV column with the slide.")] = "slide",
    columns_patient: Annotated[str, typer.Option("--patient-column", help="CSV column with the patient.")] = "patient",
    tile_px: Annotated[
        int | None,
        typer.Option(
            "--tile-px",
            min=1,
            help="Side in px of the tile cropped from the centre of each image.",
            show_default="most common image size",
        ),
    ] = None,
    resize: Annotated[
        bool, typer.Option("--resize", help="Resample whole images to --tile-px instead of cropping.")
    ] = False,
    mpp: Annotated[
        float | None, typer.Option("--mpp", help="Pixel size of the files in µm/px, before any resampling.")
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option("--classes", metavar="A,B,C", help="Names and order of the classes.", show_default="alphabetical"),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            "--layout",
            metavar="LEVELS",
            help="Meaning of each folder level: split, class, patient, slide, * (any) or a folder's name; for example "
            "patient/class.",
            show_default="class, or split/class",
        ),
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", help="Licence of the images, recorded in everything made from them.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing TileSet.")] = False,
) -> Answer:
    """Make a TileSet from images (JPEG, PNG, TIFF, WebP) in one subfolder per class.

    Images that are damaged, of another size or too large are skipped, counted and listed.

    Examples:

      hviskd tiles import photos -o tiles --csv patients.csv --mpp 0.5

      hviskd tiles import photos -o tiles --tile-px 64 --resize --classes normal,tumour
    """
    from hviskd.tiles import CsvColumns, ImportSettings, import_folder

    settings = ImportSettings(
        layout=layout,
        classes=[name.strip() for name in classes.split(",")] if classes else None,
        tile_px=tile_px,
        resize=resize,
        mpp=mpp,
        licence=licence,
    )
    columns = CsvColumns(file=columns_file, slide=columns_slide, patient=columns_patient)
    tileset = import_folder(folder, output, csv=csv, columns=columns, settings=settings, overwrite=overwrite)
    _print_left_out(tileset)
    _print_splits(tileset)
    typer.echo(f"wrote {tileset.folder}")
    return Answer(about(tileset))


@tiles_app.command("import-cifar")
@answering
def import_cifar(
    archive: Annotated[
        Path,
        typer.Argument(
            metavar="ARCHIVE", help="Your copy of cifar-100-python.tar.gz, the folder it unpacks to, or an .npz."
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the new TileSet.")],
    coarse: Annotated[
        bool, typer.Option("--coarse", help="Use the 20 superclasses instead of the 100 classes.")
    ] = False,
    val: Annotated[
        float, typer.Option("--val", min=0, max=1, help="Share of training images in the validation split.")
    ] = 0.1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Random seed for drawing the validation split.")] = 0,
    licence: Annotated[
        str | None, typer.Option("--licence", help="Licence of the images, recorded in everything made from them.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing TileSet.")] = False,
) -> Answer:
    """Make a TileSet from CIFAR-100, the standard benchmark for distillation methods.

    The test split is unchanged; the validation split is drawn from the training images, class by class. Training images
    that are also test images are left out. The archive's pickle files are never executed. An .npz contains images
    (uint8, N × side × side × 3), labels, classes (names), and optionally test_images and test_labels.

    Examples:

      hviskd tiles import-cifar cifar-100-python.tar.gz -o cifar100

      hviskd tiles import-cifar cifar-100-python -o cifar20 --coarse --val 0.1 --seed 1
    """
    from hviskd.tiles import import_cifar as make

    tileset = make(archive, output, coarse=coarse, val=val, seed=seed, licence=licence, overwrite=overwrite)
    _print_left_out(tileset)
    _print_splits(tileset)
    typer.echo(f"wrote {tileset.folder}")
    return Answer(about(tileset))


@tiles_app.command()
@answering
def split(
    tileset: TileSetArgument,
    by: Annotated[
        _By, typer.Option("--by", help="Unit kept within one split; auto: patient, or slide if patients are unknown.")
    ] = _By.auto,
    val: Annotated[float, typer.Option("--val", min=0, max=1, help="Share of tiles in the validation split.")] = 0.15,
    test: Annotated[float, typer.Option("--test", min=0, max=1, help="Share of tiles in the test split.")] = 0.15,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Random seed; the same seed gives the same split.")] = 0,
    keep_test: Annotated[
        bool, typer.Option("--keep-test", help="Keep the existing test split and divide the rest.")
    ] = False,
) -> Answer:
    """Split a TileSet into training, validation and test tiles, keeping each patient within one split.

    Every class comes as close to the requested shares as whole patients allow. An existing split is replaced. Tiles of
    one patient are alike, so results on a random split are too optimistic.

    Examples:

      hviskd tiles split tiles --by patient

      hviskd tiles split tiles --by random --val 0.2 --keep-test
    """
    from hviskd.tiles import TileSet, split_tiles

    opened = TileSet.open(tileset)
    divided = split_tiles(opened, by=by.value, val=val, test=test, seed=seed, keep_test=keep_test)
    _print_splits(divided)
    typer.echo(f"wrote {divided.folder}")
    return Answer(about(divided))


@tiles_app.command()
@answering
def info(
    tileset: TileSetArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="PNG file for the contact sheet.", show_default="TILESET/contact-sheet.png"
        ),
    ] = None,
) -> Answer:
    """Count tiles by class and split, check the splits for data leakage, and draw a contact sheet.

    Examples:

      hviskd tiles info tiles

      hviskd tiles info tiles -o sheet.png
    """
    from hviskd.tiles import TileSet, draw_contact_sheet

    opened = TileSet.open(tileset)
    opened.check_pixels()
    scale = f"{opened.mpp:.4g} µm/px" if opened.mpp else "µm/px unknown"
    typer.echo(
        f"{len(opened):,} tiles of {opened.tile_px} px, {scale}; licence: {opened.card.origin.licence or 'unknown'}"
    )
    _print_left_out(opened)
    _print_splits(opened)
    sheet = draw_contact_sheet(opened, output or opened.folder / "contact-sheet.png")
    typer.echo(f"wrote {sheet}")
    return Answer({**about(opened), "contact_sheet": sheet})


def about(tileset: "TileSet") -> dict[str, Any]:
    """Return what a program needs to know of a TileSet: size, counts by class and split, leaks, what was left out."""
    from hviskd.tiles import check_leak, summary_table

    leak, origin = check_leak(tileset), tileset.card.origin
    return {
        "output": tileset.folder,
        "tiles": len(tileset),
        "tile_px": tileset.tile_px,
        "mpp": tileset.mpp,
        "classes": tileset.classes,
        "licence": origin.licence,
        "counts": summary_table(tileset).to_dict("index"),
        "leaks": leak.leaks,
        "leak": leak.statement,
        "left_out": origin.dropped,
        "left_out_files": origin.dropped_files,
    }


def _print_left_out(tileset: "TileSet") -> None:
    origin = tileset.card.origin
    if origin.dropped:
        typer.echo(f"left out: {', '.join(f'{count:,} {reason}' for reason, count in origin.dropped.items())}")
    for name in origin.dropped_files:
        typer.echo(f"  {name}")


def _print_splits(tileset: "TileSet") -> None:
    """Print the tiles by class and split, which classes a split lacks, and what the splits share."""
    from hviskd.tiles import check_leak, summary_table

    print_counts(summary_table(tileset), "class")
    for split, names in tileset.missing_classes().items():
        typer.echo(f"note: no tiles of {', '.join(names)} in the {split} split")
    typer.echo(check_leak(tileset).statement)
