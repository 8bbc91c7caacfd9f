"""`hviskd tiles cut`: cut a TileSet from slides, with labels by their annotations or without."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hviskd.cli.annotation_options import NoCrop, Tolerance
from hviskd.cli.answers import Answer, answering
from hviskd.cli.count_table import print_counts
from hviskd.cli.running_options import Retries, Scheduler, cluster
from hviskd.cli.slide_options import Icc, MppCsv, Recursive, SlideMpp, SlidesArgument
from hviskd.cli.spelling import say
from hviskd.cli.status import Status
from hviskd.cli.tissue_options import KeepInk, TissueArea, TissueDensity, TissueHole, TissueMpp, TissueSaturation
from hviskd.cli.turns import in_turn
from hviskd.errors import DataError
from hviskd.slides import TissueRule

if TYPE_CHECKING:
    from hviskd.cutting import CutReport
    from hviskd.file_names import AnnotationFolder
    from hviskd.slides import Stain, StainMethod

_SHOWN_ALIKE = 2
_SHOWN_NAMES = 5
_SHOWN_PATIENTS = 40


class _StainMethod(StrEnum):
    none = "none"
    macenko = "macenko"
    reinhard = "reinhard"


def _show(output: Path, context: typer.Context) -> Answer:
    """Print why slides of a finished TileSet were not cut, and return what it holds."""
    from hviskd.cli.tiles import about
    from hviskd.cutting import read_report
    from hviskd.file_names import qc_folder
    from hviskd.tiles import TileSet

    report = read_report(qc_folder(output))
    for failed in report.failed:
        say(f"error: {failed.problem}", context, err=True)
    content = about(TileSet.open(output))
    return Answer({**content, "output": output, "slides": report.slides}, Status.partly(report.failed))


@answering
@in_turn(_show)
def cut(
    context: typer.Context,
    slides: SlidesArgument,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the new TileSet.")],
    legend: Annotated[
        str | None,
        typer.Option(
            "--legend",
            metavar="NAME|FILE",
            help="Classes and their colours: ivygap, ivygap-paper, or a YAML file.",
            show_default="required, unless --unlabelled",
        ),
    ] = None,
    annotations: Annotated[
        Path | None,
        typer.Option(
            "--annotations",
            metavar="DIR_OR_FILE",
            help="Folder of annotations, one per slide: outlines or colour masks; or a COCO file.",
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            "--masks", metavar="DIR", help="Folder of colour masks only (STEM_L.jpg, STEM_mask.png, STEM.tif …)."
        ),
    ] = None,
    outlines: Annotated[
        Path | None,
        typer.Option(
            "--outlines", metavar="DIR", help="Folder of outlines only (STEM.geojson, STEM.json, STEM.xml, …)."
        ),
    ] = None,
    unlabelled: Annotated[
        bool,
        typer.Option(
            "--unlabelled",
            help="Cut tissue tiles without labels, for hviskd distill --unlabelled; takes no --legend or annotations.",
        ),
    ] = False,
    tile_px: Annotated[int, typer.Option("--tile-px", help="Tile side in px.")] = 150,
    mpp: Annotated[float, typer.Option("--mpp", help="Pixel size of the tiles in µm/px.")] = 0.5,
    slide_mpp: SlideMpp = None,
    mpp_csv: MppCsv = None,
    purity: Annotated[
        float,
        typer.Option(
            "--purity", help="Minimum share of a tile that belongs to its class; with 1, no border crosses it."
        ),
    ] = 1.0,
    min_tissue: Annotated[float, typer.Option("--tissue", help="Minimum share of tissue in a tile.")] = 0.5,
    glass: Annotated[
        str | None,
        typer.Option(
            "--glass", metavar="A,B", help="Classes whose tiles need no tissue.", show_default="BG, if in the legend"
        ),
    ] = None,
    tolerance: Tolerance = 20.0,
    no_crop: NoCrop = False,
    cap: Annotated[
        int,
        typer.Option(
            "--cap", min=0, help="Maximum number of tiles per class, or in total if --unlabelled; 0 means no limit."
        ),
    ] = 10_000,
    cap_per_slide: Annotated[
        int | None,
        typer.Option(
            "--cap-per-slide", min=1, help="Maximum number of tiles per class and slide.", show_default="no limit"
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", help="Random seed for drawing the tiles of classes that exceed the cap.")
    ] = 0,
    patients: Annotated[
        str | None,
        typer.Option(
            "--patients",
            metavar="RULE|CSV",
            help="Each slide's patient: ivygap or tcga (file naming schemes), a regular expression with one group "
            "that matches file names, or a CSV with the columns slide,patient.",
            show_default="unknown",
        ),
    ] = None,
    stain: Annotated[
        _StainMethod, typer.Option("--stain", help="Method to normalise the stain of all tiles to a reference.")
    ] = _StainMethod.none,
    stain_reference: Annotated[
        Path | None,
        typer.Option(
            "--stain-reference", help="Reference for --stain: a slide, an image of tissue, or a stored stain."
        ),
    ] = None,
    icc: Icc = False,
    licence: Annotated[
        str | None,
        typer.Option("--licence", help="Licence of the slides, recorded in everything made from them."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Number of threads.", show_default="one per core")
    ] = None,
    recursive: Recursive = False,
    scheduler: Scheduler = None,
    retries: Retries = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing TileSet.")] = False,
    tissue_mpp: TissueMpp = TissueRule.mpp,
    tissue_density: TissueDensity = TissueRule.density,
    tissue_saturation: TissueSaturation = TissueRule.saturation,
    tissue_min_area_um2: TissueArea = TissueRule.min_area_um2,
    tissue_min_hole_um2: TissueHole = TissueRule.min_hole_um2,
    tissue_keep_ink: KeepInk = TissueRule.keep_ink,
) -> Answer:
    """Cut tiles of one size and µm/px from annotated slides: the squares of a grid that lie within one class.

    If a class has more tiles than the cap, they are drawn evenly from its patients and slides. The folder DIR-qc has a
    report, and an image of each slide with its tiles in their class colours. If a slide cannot be cut, the others still
    are, and the exit status is 1. To continue after an interruption, repeat the command. With --unlabelled, the squares
    with enough tissue are cut, evenly from all slides.

    Examples:

      hviskd tiles cut slides/ --masks masks/ --legend ivygap-paper --slide-mpp 0.5 --patients ivygap -o tiles

      hviskd tiles cut slides/*.svs --annotations qupath/ --legend lesion.yaml --patients tcga -o tiles

      hviskd tiles cut slides/ --masks masks/ --legend my.yaml --patients "([A-Z]+[0-9]+)_" --tile-px 256 -o tiles

      hviskd tiles cut slides/ --masks masks/ --legend my.yaml -o tiles --scheduler scheduler.json

      hviskd tiles cut more/ --unlabelled --cap 20000 --cap-per-slide 500 --patients more.csv -o more-tiles
    """
    from hviskd.cutting import CutSettings, cut_slides, read_report
    from hviskd.file_names import qc_folder
    from hviskd.slides import find_cohort

    if scheduler and workers:
        raise DataError(f"`workers={workers}`: omit it, since each worker of `scheduler` uses its own threads")
    on_cluster = cluster(scheduler, retries)
    drawn = _drawn(annotations, masks, outlines, legend, unlabelled=unlabelled)
    tissue = TissueRule(
        tissue_mpp, tissue_density, tissue_saturation, tissue_min_area_um2, tissue_min_hole_um2, tissue_keep_ink
    )
    settings = CutSettings(
        tile_px=tile_px,
        mpp=mpp,
        purity=purity,
        min_tissue=min_tissue,
        glass=None if glass is None else tuple(name.strip() for name in glass.split(",") if name.strip()),
        cap=cap or None,
        cap_per_slide=cap_per_slide,
        seed=seed,
        tolerance=tolerance,
        no_crop=no_crop,
        tissue=tissue,
        stain=_reference_stain(stain, stain_reference, slide_mpp, mpp_csv, tissue, icc=icc),
        icc=icc,
        licence=licence,
        workers=on_cluster or workers,
    )
    tileset = cut_slides(
        find_cohort(slides, recursive=recursive, slide_mpp=slide_mpp, mpp_csv=mpp_csv),
        output,
        annotations=drawn,
        legend=legend,
        patients=patients,
        settings=settings,
        overwrite=overwrite,
    )
    report = read_report(qc_folder(output))
    _print_report(report, context)
    used = len(report.slides) - len(report.failed)
    typer.echo(f"{len(tileset):,} tiles from {used} of {len(report.slides)} slides")
    typer.echo(f"images and report in {qc_folder(output)}")
    typer.echo(f"wrote {tileset.folder}")
    return _show(output, context)


def _drawn(
    annotations: Path | None, masks: Path | None, outlines: Path | None, legend: str | None, *, unlabelled: bool
) -> "AnnotationFolder | None":
    """Return the one folder that was given; None for a cutting without labels, which needs none."""
    from hviskd.file_names import AnnotationFolder

    if unlabelled:
        if any(given is not None for given in (annotations, masks, outlines, legend)):
            raise DataError("`unlabelled=True`: takes no annotations and no `legend`; omit them, or cut with labels")
        return None
    if legend is None:
        raise DataError("give `legend`, or pass `unlabelled=True` to cut tiles without labels")
    if sum(folder is not None for folder in (annotations, masks, outlines)) != 1:
        raise DataError("give one of `annotations`, `masks` and `outlines`: a folder of annotations")
    if masks is not None:
        return AnnotationFolder(masks, "masks")
    return AnnotationFolder(annotations or outlines or "", None if outlines is None else "outlines")


def _reference_stain(
    method: _StainMethod,
    reference: Path | None,
    slide_mpp: float | None,
    mpp_csv: Path | None,
    tissue: TissueRule,
    *,
    icc: bool,
) -> "Stain | None":
    """Fit the reference stain of all tiles; None without normalisation."""
    from hviskd.slides import mpp_of, read_mpp_csv, stain_reference

    if (method == _StainMethod.none) != (reference is None):
        raise DataError("`stain` and `stain_reference` go together: give a method and a reference")
    if method == _StainMethod.none or reference is None:
        return None
    fit: StainMethod = "macenko" if method == _StainMethod.macenko else "reinhard"
    listed_mpp = None if mpp_csv is None else mpp_of(reference, read_mpp_csv(mpp_csv))
    return stain_reference(reference, method=fit, slide_mpp=listed_mpp or slide_mpp, tissue_rule=tissue, icc=icc)


def _print_report(report: "CutReport", context: typer.Context) -> None:
    """Print what was cut and left out by class, what was cut by patient, and the notes on the slides."""
    import pandas as pd

    from hviskd.slides.icc import colour_note

    print_counts(report.class_table(), "class")
    for reason, counts in report.left_out().items():
        if not set(counts) & set(report.classes):
            typer.echo(f"{sum(counts.values()):,} squares {reason}")
    by_patient = report.by_patient()
    if 1 < len(by_patient) <= _SHOWN_PATIENTS:
        print_counts(pd.DataFrame.from_dict(by_patient, orient="index"), "patient")
    profiles = [slide.icc for slide in report.slides if slide.mpp is not None]
    if note := colour_note(profiles, applied=bool(report.options.get("icc"))):
        say(f"note: {note}", context)
    for note in report.passed_over:
        typer.echo(f"note: {note}")
    for alike in report.notes():
        for slide, note in alike[:_SHOWN_ALIKE]:
            say(f"note: {slide}: {note}", context)
        if len(alike) > _SHOWN_ALIKE:
            typer.echo(f"… and {len(alike) - _SHOWN_ALIKE:,} more of this kind in the report")
    if none := report.without_tiles:
        names = ", ".join(slide.slide for slide in none[:_SHOWN_NAMES]) + ", …" * (len(none) > _SHOWN_NAMES)
        typer.echo(f"no tiles from {len(none):,} slide{'s' * (len(none) > 1)}: {names}")
