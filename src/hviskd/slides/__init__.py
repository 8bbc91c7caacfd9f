"""Slides: their pixels, µm/px, tissue and stain.

`open_slide` is where every slide comes from. Names load what they need when first used: listing slides takes no
OpenSlide, and opening a slide no SciPy.
"""

from typing import TYPE_CHECKING

from hviskd.lazy import load_on_use

if TYPE_CHECKING:
    from hviskd.slides.cohort import CohortSlide, find_cohort
    from hviskd.slides.finding import find_slides
    from hviskd.slides.opening import open_slide
    from hviskd.slides.resolution import mpp_of, read_mpp_csv
    from hviskd.slides.slide import Level, Slide, SlideFacts
    from hviskd.slides.slide_files import slide_fingerprint
    from hviskd.slides.stain import (
        Stain,
        StainMethod,
        fit_macenko,
        fit_reinhard,
        read_stain,
        stain_from_json,
        stain_to_json,
        write_stain,
    )
    from hviskd.slides.stain_sampling import fit_slide_stain, sample_tissue, stain_reference
    from hviskd.slides.surveying import SlideReport, Survey, survey
    from hviskd.slides.svs import write_svs
    from hviskd.slides.tile_grid import TileGrid
    from hviskd.slides.tile_reading import read_tiles
    from hviskd.slides.tissue import TissueMask, tissue_mask
    from hviskd.slides.tissue_picture import draw_tissue_outline
    from hviskd.slides.tissue_rule import TissueRule
    from hviskd.slides.transfer import StainTransfer, macenko_matrix, stain_transfer

_HOMES = {
    "CohortSlide": "cohort",
    "Level": "slide",
    "Slide": "slide",
    "SlideFacts": "slide",
    "SlideReport": "surveying",
    "Stain": "stain",
    "StainMethod": "stain",
    "StainTransfer": "transfer",
    "Survey": "surveying",
    "TileGrid": "tile_grid",
    "TissueMask": "tissue",
    "TissueRule": "tissue_rule",
    "draw_tissue_outline": "tissue_picture",
    "find_cohort": "cohort",
    "find_slides": "finding",
    "fit_macenko": "stain",
    "fit_reinhard": "stain",
    "fit_slide_stain": "stain_sampling",
    "macenko_matrix": "transfer",
    "mpp_of": "resolution",
    "open_slide": "opening",
    "read_mpp_csv": "resolution",
    "read_stain": "stain",
    "read_tiles": "tile_reading",
    "sample_tissue": "stain_sampling",
    "slide_fingerprint": "slide_files",
    "stain_from_json": "stain",
    "stain_reference": "stain_sampling",
    "stain_to_json": "stain",
    "stain_transfer": "transfer",
    "survey": "surveying",
    "tissue_mask": "tissue",
    "write_stain": "stain",
    "write_svs": "svs",
}

__all__ = [
    "CohortSlide",
    "Level",
    "Slide",
    "SlideFacts",
    "SlideReport",
    "Stain",
    "StainMethod",
    "StainTransfer",
    "Survey",
    "TileGrid",
    "TissueMask",
    "TissueRule",
    "draw_tissue_outline",
    "find_cohort",
    "find_slides",
    "fit_macenko",
    "fit_reinhard",
    "fit_slide_stain",
    "macenko_matrix",
    "mpp_of",
    "open_slide",
    "read_mpp_csv",
    "read_stain",
    "read_tiles",
    "sample_tissue",
    "slide_fingerprint",
    "stain_from_json",
    "stain_reference",
    "stain_to_json",
    "stain_transfer",
    "survey",
    "tissue_mask",
    "write_stain",
    "write_svs",
]

__getattr__ = load_on_use(__name__, _HOMES)
