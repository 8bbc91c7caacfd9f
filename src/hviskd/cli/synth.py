"""`hviskd synth`: a synthetic cohort of slides with masks and outlines, for trying things out."""

from pathlib import Path
from typing import Annotated

import typer

from hviskd.cli.answers import Answer, answering


@answering
def synth(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the cohort.")],
    patients: Annotated[int, typer.Option("--patients", help="Number of patients.")] = 6,
    slides_per_patient: Annotated[int, typer.Option("--slides-per-patient", help="Number of slides per patient.")] = 1,
    width_px: Annotated[
        int, typer.Option("--width-px", help="Slide width in px; a slide has at most 20 million px.")
    ] = 4000,
    height_px: Annotated[int, typer.Option("--height-px", help="Slide height in px.")] = 3000,
    mpp: Annotated[float, typer.Option("--mpp", help="Pixel size in µm/px, from 0.1 to 4.")] = 0.5,
    seed: Annotated[int, typer.Option("--seed", help="Random seed; the same seed gives the same cohort.")] = 0,
    workers: Annotated[
        int | None, typer.Option("--workers", help="Number of processes.", show_default="one per core")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing cohort.")] = False,
) -> Answer:
    """Generate synthetic H&E slides of glioblastoma, with colour masks and outlines of regions and vessels.

    Stain and nuclear density vary between patients; each slide has most of the eight classes of the Ivy atlas. Slides
    are Aperio SVS with three levels (1, 1/4, 1/16). Generating takes about 15 seconds per slide and core. Synthetic
    tissue says nothing about real tissue.

    Examples:

      hviskd synth -o cohort

      hviskd synth -o cohort --patients 20 --slides-per-patient 2 --seed 7

      hviskd synth -o small --patients 3 --width-px 1200 --height-px 900
    """
    import time

    from hviskd.synthesis import CohortSettings, draw_cohort

    started = time.monotonic()
    settings = CohortSettings(patients, slides_per_patient, width_px, height_px, mpp, seed)
    cohort = draw_cohort(output, settings, workers=workers, overwrite=overwrite)
    drawn = cohort.slides
    tiles = sum(len(slide.vessel_tiles) for slide in drawn)
    typer.echo(f"{'class':<7} {'mm²':>7}  slides")
    for name in drawn[0].area_mm2:
        areas = [slide.area_mm2[name] for slide in drawn]
        typer.echo(f"{name:<7} {sum(areas):>7.2f}  {sum(area > 0 for area in areas)} of {len(areas)}")
    typer.echo(f"slides       {output / 'slides'} ({len(drawn)} SVS of {width_px} × {height_px} px, {mpp:g} µm/px)")
    typer.echo(f"masks        {output / 'masks'} (same size as the slides; legend ivygap-paper)")
    typer.echo(f"annotations  {output / 'annotations'} (QuPath GeoJSON)")
    typer.echo(f"structures   {output / 'structures'} (QuPath GeoJSON of the vessels, for hviskd attend)")
    typer.echo(f"vessels      {output / 'vessels'} ({tiles} CTmvp tiles of 150 px with Labelme outlines)")
    typer.echo(f"patients     {output / 'patients.csv'}")
    typer.echo(f"card         {output / 'cohort.json'}")
    typer.echo(f"done in {time.monotonic() - started:.0f} s")
    return Answer({"output": output, "slides": drawn})
