"""Cuts annotated slides into a TileSet; users and the verb `tiles cut` call it.

First every slide is looked at: which squares are tiles of which class. Then the cap is shared out, and only then are
pixels read, of the chosen tiles alone. What is finished is kept beside the output until all is.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

import numpy as np

from hviskd.annotations import DEFAULT_TOLERANCE, Legend, load_legend
from hviskd.cutting.candidates import TileRule
from hviskd.cutting.fair_draw import share_cap
from hviskd.cutting.options import check, glass_positions, reference_stain, refuse_taken
from hviskd.cutting.parts import Parts
from hviskd.cutting.patients import patients_of
from hviskd.cutting.report import REPORT_FILE, CutReport, qc_folder
from hviskd.cutting.slide_cut import Job, SlideCut
from hviskd.errors import DataError
from hviskd.file_names import AnnotationFolder
from hviskd.progress import progress_bar
from hviskd.slides import TissueRule, mpp_of, read_mpp_csv
from hviskd.storage import atomic_folder, write_json
from hviskd.threads import in_threads
from hviskd.tiles.card import CARD_FILE, Origin
from hviskd.tiles.tileset import TileSet
from hviskd.tiles.writing import TileSetWriter

_LOOKED_AT_ONCE = 2  # slides; each takes a thread for its annotation and one for its tissue, and memory for both


def cut_slides(
    slides: Sequence[Path | str],
    output: Path | str,
    *,
    masks: Path | str | None = None,
    annotations: Path | str | None = None,
    legend: Legend | Path | str,
    tile_px: int = 150,
    mpp: float = 0.5,
    slide_mpp: float | None = None,
    mpp_csv: Path | str | None = None,
    purity: float = 1.0,
    tissue: float = 0.5,
    tissue_rule: TissueRule | None = None,
    glass: Sequence[str] | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
    cap: int | None = 10_000,
    seed: int = 0,
    patients: str | None = None,
    stain: Literal["none", "macenko", "reinhard"] = "none",
    stain_reference: Path | str | None = None,
    licence: str | None = None,
    workers: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> TileSet:
    """Cut the squares of a grid that lie within one class, at one µm/px, from any number of slides.

    A slide that cannot be used does not stop the others; `read_report(qc_folder(output))` lists it with the reason,
    beside what was left out of each slide, and a picture a slide. After a kill the same call with `resume` goes on.

    Args:
        slides: The files, as `find_slides` lists them; a mask among them is no slide.
        output: Where the TileSet shall stand; pictures and report stand beside it, in `qc_folder(output)`.
        masks: Folder of colour masks, `STEM_L.jpg`, `STEM_mask.png` or `STEM.tif` for the slide `STEM.…`.
        annotations: Folder of GeoJSON or Labelme files, `STEM.geojson` or `STEM.json`; instead of `masks`.
        legend: The classes: a Legend, the name of a built-in one, or a YAML file.
        tile_px: Side of a tile.
        mpp: µm per tile pixel.
        slide_mpp: µm/px of slides that do not record it.
        mpp_csv: The same for each slide, a CSV with the columns slide and mpp.
        purity: Least share of a tile's cells (30 a side) that is of its class; what is not annotated counts against it.
            1: no px of another class is in a tile either, so that no border crosses it.
        tissue: Least share of tissue.
        tissue_rule: What counts as tissue; the defaults of `TissueRule` if not given.
        glass: Classes that need no tissue; by default the class BG, if there is one.
        tolerance: How far a mask colour may lie from its legend colour, as distance of RGB.
        cap: The most tiles of one class, shared by patients and then slides as evenly as they allow; None: all.
        seed: Of the draw under the cap.
        patients: `ivygap`, `tcga`, a regular expression with one group, or a CSV with the columns slide and patient;
            None: unknown.
        stain: Give all tiles the stain of a reference.
        stain_reference: A slide, a picture of tissue, or a stored stain.
        licence: The slides' licence, in words; it travels with the TileSet and with what is trained on it.
        workers: Threads; by default one a core.
        resume: Go on with what an interrupted cutting has finished.
        overwrite: Replace a TileSet that stands at `output`.

    Returns:
        The TileSet. The tiles of a slide stand together, row by row.

    Raises:
        DataError: An option is impossible, the output is taken, two slides have one name, or no slide gave a tile.
        OutputError: The disk is full; what is finished stays, and the same call with `resume` goes on.
    """
    output = Path(output).resolve()
    listed = [Path(path) for path in (*slides, *([] if stain_reference is None else [stain_reference]))]
    table = {} if mpp_csv is None else read_mpp_csv(Path(mpp_csv), listed)
    rows = _gather(slides, slide_mpp=slide_mpp, table=table, patients=patients, masks=masks, annotations=annotations)
    legend = legend if isinstance(legend, Legend) else load_legend(legend)
    rule = TileRule(tile_px, mpp, purity, tissue, glass_positions(legend, glass))
    check(rule, tolerance=tolerance, cap=cap, seed=seed, workers=workers)
    tissue_rule = tissue_rule or TissueRule()
    reference = reference_stain(stain, stain_reference, slide_mpp, table, tissue_rule)
    refuse_taken(output, overwrite=overwrite)
    options = {
        "masks" if masks is not None else "annotations": str(masks or annotations),
        "legend": legend.name,
        **{name: value for name, value in asdict(rule).items() if name != "glass"},
        "tissue_rule": asdict(tissue_rule),
        "glass": [legend.names[place] for place in rule.glass],
        "tolerance": tolerance,
        "cap": cap,
        "seed": seed,
        "patients": patients,
        "stain": stain,
    }
    source = ", ".join(sorted({str(row.path.parent) for row in rows}))
    writer = TileSetWriter(
        output,
        classes=legend.names,
        colours=legend.colours,
        tile_px=tile_px,
        mpp=mpp,
        stain=reference,
        origin=Origin(verb="tiles cut", source=source, options=options, licence=licence),
        overwrite=overwrite,
    )
    with Parts(output, tile_px=tile_px, resume=resume, overwrite=overwrite) as parts:
        job = Job(rule, tissue_rule, legend, tolerance, reference, seed, workers or os.cpu_count() or 1, parts)
        rows = _share_out(job, _look(job, rows), cap)
        with parts.tiles:
            rows = _cut(job, rows)
        report = CutReport(options=options, classes=legend.names, slides=tuple(row.report(job) for row in rows))
        if not parts.tiles.count:
            stands = (output / CARD_FILE).is_file()
            if not stands:  # the report of a TileSet that stays, stays too
                with _qc(job, rows, report, qc_folder(output)):
                    pass
            parts.remove()
            raise _nothing(output, report, told=not stands)
        with parts.writing(), _qc(job, rows, report, qc_folder(output)), writer:
            writer.take(parts.tiles.path, (tile for row in rows for tile in row.rows(job)))
            _tell_left_out(writer, report)
        parts.remove()
    return TileSet.open(output)


def _gather(
    slides: Sequence[Path | str],
    *,
    slide_mpp: float | None,
    table: Mapping[str, float],
    patients: str | None,
    masks: Path | str | None,
    annotations: Path | str | None,
) -> list[SlideCut]:
    """Find each slide's annotation, patient and µm/px."""
    if (masks is None) == (annotations is None):
        raise DataError("give either `masks` or `annotations`, the folder of what experts drew")
    folder = AnnotationFolder(Path(masks or annotations or ""), masks=masks is not None)
    paths = [Path(slide) for slide in slides]
    annotated: dict[Path, Path | DataError] = {}
    for path in paths:
        try:
            annotated[path] = folder.of(path)
        except DataError as error:
            annotated[path] = error
    drawn = {found.resolve() for found in annotated.values() if isinstance(found, Path)}
    paths = [path for path in paths if path.resolve() not in drawn]
    seen: dict[str, Path] = {}
    for path in paths:
        if seen.setdefault(path.stem, path) is not path:
            raise DataError(f"{path}: has the same name as {seen[path.stem]}; rename one, for tiles go by that name")
    rows = []
    for path, patient in zip(paths, patients_of(paths, patients), strict=True):
        row = SlideCut(path, patient, mpp_of(path, table) or slide_mpp)
        found = annotated[path]
        rows.append(replace(row, annotation=found) if isinstance(found, Path) else row.failed(found))
    if not rows:
        raise DataError("no slide to cut; name slides or folders of slides")
    return rows


def _look(job: Job, rows: list[SlideCut]) -> list[SlideCut]:
    looked = []
    threads = min(_LOOKED_AT_ONCE, job.threads)
    with progress_bar("looking at slides", len(rows)) as advance:
        for row in in_threads(lambda row: row.look(job), rows, threads=threads, ahead=threads):
            looked.append(row)
            advance(note=row.name)
    return looked


def _share_out(job: Job, rows: list[SlideCut], cap: int | None) -> list[SlideCut]:
    """Tell each slide how many tiles of each class it gives."""
    none = np.zeros(len(job.legend.names), np.int64)
    available = np.array([none if row.available is None else row.available for row in rows])
    quotas = share_cap(available, [row.name for row in rows], [row.patient for row in rows], cap, job.seed)
    return [
        row if row.available is None else replace(row, quota=quota) for row, quota in zip(rows, quotas, strict=True)
    ]


def _cut(job: Job, rows: list[SlideCut]) -> list[SlideCut]:
    """Put the tiles of one slide after the other into the parts' file."""
    total = sum(int(row.quota.sum()) for row in rows if row.quota is not None)
    with progress_bar("cutting tiles", total) as advance:
        return [row.cut(job, advance) for row in rows]


@contextmanager
def _qc(job: Job, rows: list[SlideCut], report: CutReport, folder: Path) -> Iterator[None]:
    """Write report and pictures; they get their place after the block, so that they come and go with the TileSet."""
    with atomic_folder(folder, overwrite=True) as partial:
        write_json(partial / REPORT_FILE, report.to_json())
        for row in rows:
            if row.quota is not None:
                shutil.copyfile(row.picture(job), partial / f"{row.name}.png")
        yield


def _tell_left_out(writer: TileSetWriter, report: CutReport) -> None:
    for reason, counts in report.left_out().items():
        writer.drop(f"squares {reason}", times=sum(counts.values()))
    for failed in report.failed:
        writer.drop("slides that could not be cut", failed.slide, failed.problem or "")


def _nothing(output: Path, report: CutReport, *, told: bool) -> DataError:
    """Say why there is no tile, and where that is told at length, if it is."""
    if len(report.failed) == len(report.slides):
        return DataError(f"no slide could be cut: {report.failed[0].problem} ({len(report.slides)} in all)")
    reasons = ", ".join(f"{sum(counts.values()):,} {reason}" for reason, counts in report.left_out().items())
    more = f"; see {qc_folder(output)}" if told else ""
    return DataError(f"{output}: not one tile; of the squares are {reasons}{more}")
