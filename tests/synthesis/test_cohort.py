"""A drawn cohort: its files open, and say the same of every place."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from typer.testing import CliRunner

from hviskd.annotations import load_legend, read_annotation
from hviskd.errors import DataError
from hviskd.slides import open_slide, write_svs
from hviskd.synthesis import TISSUE_CLASSES, draw_patient, draw_tissue, lay_out_section
from hviskd.synthesis.cohort import CohortSettings, draw_cohort
from hviskd.synthesis.layout import VASCULAR, lay_out
from hviskd.synthesis.outlines import vascular_windows, vessel_outlines, write_vessel_tiles
from tests.html_tables import read_tables

SMALL = {"width_px": 600, "height_px": 450, "mpp": 0.5}
NAMES = tuple(tissue.name for tissue in TISSUE_CLASSES)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synth") / "cohort"
    return draw_cohort(folder, CohortSettings(patients=3, **SMALL), workers=1)


def mask_of(cohort, slide):
    return read_annotation(cohort.folder / slide.mask, legend=load_legend("ivygap-paper"), size=(600, 450))


@pytest.mark.slow
def test_every_slide_opens_with_its_mpp_and_three_levels(cohort):
    assert [slide.slide for slide in cohort.slides] == ["P01-1", "P02-1", "P03-1"]
    for drawn in cohort.slides:
        with open_slide(cohort.folder / drawn.file) as slide:
            assert (slide.size, slide.mpp, slide.vendor) == ((600, 450), 0.5, "aperio")
            assert [level.downsample for level in slide.levels] == [1, 4, 16]


def test_mask_and_pixels_are_those_of_the_section_that_was_laid_out(cohort):
    section_seed, tissue_seed = np.random.SeedSequence([0, 2, 1]).spawn(2)
    class_map = lay_out_section(600, 450, mpp=0.5, rng=np.random.default_rng(section_seed))
    pixels = draw_tissue(class_map, draw_patient(2), mpp=0.5, rng=np.random.default_rng(tissue_seed))
    colours = np.array([tissue.colour for tissue in TISSUE_CLASSES], np.uint8)
    with Image.open(cohort.folder / cohort.slides[1].mask) as mask:
        np.testing.assert_array_equal(np.asarray(mask.convert("RGB")), colours[class_map])
    with open_slide(cohort.folder / cohort.slides[1].file) as slide:
        assert np.abs(slide.read(0, 0, 600, 450).astype(int) - pixels).mean() < 3.5


def test_all_eight_classes_are_in_every_mask_and_their_areas_on_the_card(cohort):
    card = json.loads((cohort.folder / "cohort.json").read_text())
    for drawn, entry in zip(cohort.slides, card["slides"], strict=True):
        indices = mask_of(cohort, drawn).rasterise(0, 0, 600, 450, 1)
        areas = np.bincount(indices.ravel(), minlength=8) * 0.5**2 * 1e-6
        assert entry["area_mm2"] == pytest.approx(dict(zip(NAMES, areas, strict=True)), abs=1e-4)
        assert (areas > 0).all()


def test_the_legend_of_the_masks_knows_the_tissue_classes_by_name_and_colour():
    legend = load_legend("ivygap-paper")
    assert legend.names == NAMES
    assert legend.colours == tuple(tissue.colour for tissue in TISSUE_CLASSES)


def test_outlines_rasterise_to_the_mask_but_for_a_thin_border(cohort):
    for drawn in cohort.slides:
        indices = mask_of(cohort, drawn).rasterise(0, 0, 600, 450, 1)
        outlines = read_annotation(cohort.folder / drawn.outlines, legend=load_legend("ivygap-paper"), size=(600, 450))
        again = outlines.rasterise(0, 0, 600, 450, 1)
        assert again.min() >= 0  # no gap between neighbours
        border = ndimage.maximum_filter(indices, 3) != ndimage.minimum_filter(indices, 3)
        from_border = ndimage.distance_transform_edt(~border)
        assert from_border[again != indices].max(initial=0) <= 3
        assert np.mean(again != indices) < 0.03
        corners = sum(len(region.geometry.exterior.coords) for region in outlines.regions)
        assert corners < 0.35 * np.count_nonzero(border)  # lines, not the stairs of a mask
        colours = {region.label: region.colour for region in outlines.regions}
        assert colours == {tissue.name: tissue.colour for tissue in TISSUE_CLASSES}


def test_the_slide_shows_tissue_where_the_mask_says_so(cohort):
    drawn = cohort.slides[0]
    glass = mask_of(cohort, drawn).rasterise(0, 0, 600, 450, 1) == NAMES.index("BG")
    with open_slide(cohort.folder / drawn.file) as slide:
        saturation = np.ptp(slide.read(0, 0, 600, 450).astype(int), axis=2)
    assert np.mean((ndimage.gaussian_filter(saturation.astype(float), 3) < 20) == glass) > 0.97


def test_structures_are_the_vessels_by_which_the_slide_was_drawn(cohort):
    section_seed, tissue_seed = np.random.SeedSequence([0, 2, 1]).spawn(2)
    class_map = lay_out_section(600, 450, mpp=0.5, rng=np.random.default_rng(section_seed))
    layout = lay_out(class_map, 0.5, np.random.default_rng(tissue_seed))
    y_um, x_um = ((np.arange(side, dtype=np.float32) + 0.5) * 0.5 for side in class_map.shape)
    vessel = layout.enlarge(layout.maps["vessel"], y_um, x_um) > 0.5
    outlines = read_annotation(cohort.folder / cohort.slides[1].structures, size=(600, 450))
    drawn = outlines.rasterise(0, 0, 600, 450, 1) >= 0
    assert vessel.mean() > 0.005
    assert np.mean(drawn != vessel) < 0.05 * vessel.mean()
    assert np.mean(class_map[drawn] == VASCULAR) > 0.9


@pytest.mark.slow
def test_patients_differ_in_colour_more_than_their_own_slides(tmp_path: Path):
    size = {"width_px": 300, "height_px": 240, "mpp": 2.0}
    cohort = draw_cohort(tmp_path / "c", CohortSettings(patients=3, slides_per_patient=2, **size), workers=1)
    colours = []
    for drawn in cohort.slides:
        with Image.open(cohort.folder / drawn.mask) as mask:
            tumour = np.all(np.asarray(mask.convert("RGB")) == TISSUE_CLASSES[NAMES.index("CT")].colour, axis=2)
        with open_slide(cohort.folder / drawn.file) as slide:
            colours.append(slide.read(0, 0, 300, 240)[tumour].mean(axis=0))
    pairs = np.array(colours).reshape(3, 2, 3)
    within = np.linalg.norm(pairs[:, 0] - pairs[:, 1], axis=1).mean()
    means = pairs.mean(axis=1)
    between = np.mean([np.linalg.norm(means[a] - means[b]) for a, b in ((0, 1), (0, 2), (1, 2))])
    assert between > 1.5 * within


def test_the_table_of_patients_goes_by_the_slides_names(cohort):
    lines = (cohort.folder / "patients.csv").read_text().splitlines()
    assert lines == ["slide,patient", "P01-1,P01", "P02-1,P02", "P03-1,P03"]


def test_a_cohort_shows_its_files_in_a_notebook(cohort):
    header, *rows = read_tables(cohort._repr_html_())
    assert header == ["patient", "slide", "mask", "outlines"]
    assert [row[:2] for row in rows] == [[f"P0{n}", f"slides/P0{n}-1.svs"] for n in (1, 2, 3)]
    assert all((cohort.folder / file).is_file() for row in rows for file in row[1:])


@pytest.mark.slow
def test_a_seed_gives_the_same_files_whatever_the_number_of_processes(tmp_path: Path):
    options = {"patients": 2, "width_px": 240, "height_px": 200}
    folders = [
        draw_cohort(tmp_path / name, CohortSettings(seed=seed, **options), workers=workers).folder
        for name, seed, workers in (("one", 5, 1), ("two", 5, 2), ("other", 6, 1))
    ]
    one, two, other = (
        {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
        for folder in folders
    )
    assert one == two
    slides = [path for path in one if path.suffix in (".svs", ".png", ".geojson") and path.parts[0] != "structures"]
    assert len(slides) == 6  # so small a section has no vessel
    assert all(one[path] != other[path] for path in slides)


@pytest.fixture(scope="module")
def vascular():
    """Give a map that is all CTmvp but for a margin, and its drawing."""
    class_map = np.full((400, 500), NAMES.index("CT"), np.uint8)
    class_map[20:380, 20:480] = VASCULAR
    pixels = draw_tissue(class_map, draw_patient(0), mpp=0.5, rng=np.random.default_rng(3))
    return class_map, pixels, lay_out(class_map, 0.5, np.random.default_rng(3))


def test_the_lumina_outlined_are_the_bright_and_red_places_of_the_drawing(vascular):
    _, pixels, layout = vascular
    vessels = vessel_outlines(layout, 50, 40, (300, 300), 0.5)
    labels = vessels.rasterise(0, 0, 300, 300, 1)
    tile = pixels[40:340, 50:350].astype(int)
    # Empty lumen is bright, red cells are red, and hardly anything in tumour is either.
    open_or_red = (tile.min(axis=2) > 190) | (tile[..., 0] - tile[..., 2] > 15)
    lumen, wall = (labels == vessels.classes.index(name) for name in ("lumen", "vessel"))
    assert open_or_red[lumen].mean() > 0.6
    assert open_or_red[~lumen].mean() < 0.1
    assert wall.mean() > 0.1
    around = ndimage.binary_dilation(lumen, iterations=6) & ~ndimage.binary_dilation(lumen, iterations=2)
    assert wall[around].mean() > 0.9  # every lumen lies in a vessel


def test_vessel_tiles_are_the_slides_pixels_and_labelme_opens_their_outlines(tmp_path: Path, vascular):
    class_map, pixels, layout = vascular
    with open_slide(write_svs(tmp_path / "P01-1.svs", pixels, mpp=0.5)) as slide:
        written = write_vessel_tiles(slide, layout, class_map, tmp_path / "vessels", tile_px=150, most=3)
        assert 1 <= len(written) <= 3
        for path in written:
            document = json.loads(path.read_text())
            assert (document["imageWidth"], document["imageHeight"]) == (150, 150)
            x_px, y_px = (int(part[1:]) for part in path.stem.split("_")[1:])
            tile = np.asarray(Image.open(path.parent / document["imagePath"]))
            np.testing.assert_array_equal(tile, slide.read(x_px, y_px, 150, 150))
            assert set(read_annotation(path).classes) == {"lumen", "vessel"}


def test_vessel_tiles_lie_in_proliferating_vessels_and_apart():
    class_map = np.full((300, 700), NAMES.index("CT"), np.uint8)
    class_map[100:260, 40:600] = VASCULAR
    windows = list(vascular_windows(class_map, 150))
    assert len(windows) >= 3
    for number, (x, y) in enumerate(windows):
        assert np.mean(class_map[y : y + 150, x : x + 150] == VASCULAR) >= 0.8
        assert all(abs(x - a) >= 150 or abs(y - b) >= 150 for a, b in windows[:number])
    assert list(vascular_windows(class_map[:100], 150)) == []


def test_nothing_is_replaced_unasked_and_only_a_cohort_ever(tmp_path: Path, cohort):
    with pytest.raises(DataError, match="`overwrite=True`"):
        draw_cohort(cohort.folder, CohortSettings(patients=1, **SMALL), workers=1)
    (tmp_path / "slides").mkdir()
    (tmp_path / "slides" / "patient.svs").write_bytes(b"real")
    with pytest.raises(DataError, match="contains no drawn cohort"):
        draw_cohort(tmp_path, CohortSettings(patients=1, **SMALL), workers=1, overwrite=True)
    assert (tmp_path / "slides" / "patient.svs").read_bytes() == b"real"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"width_px": 5001, "height_px": 4000}, "20 million"),
        ({"width_px": 63, "height_px": 400}, "`width_px`"),
        ({"patients": 0}, "`patients`"),
        ({"mpp": 0.0}, "`mpp=0.0`"),
        ({"mpp": float("nan")}, "`mpp=nan`"),
        ({"seed": -1}, "`seed=-1`"),
        ({"workers": 0}, "`workers=0`"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_anything_is_written(tmp_path: Path, wrong, said: str):
    with pytest.raises(DataError, match=said):
        workers = wrong.pop("workers", 1)
        draw_cohort(tmp_path / "c", CohortSettings(**wrong), workers=workers)
    assert not list(tmp_path.iterdir())


def test_the_verb_says_what_it_wrote(tmp_path: Path):
    import typer

    from hviskd.cli.synth import synth

    app = typer.Typer()
    app.command()(synth)
    size = ["--patients", "1", "--width-px", "240", "--height-px", "200", "--workers", "1"]
    done = CliRunner().invoke(app, ["-o", str(tmp_path / "c"), *size])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "c" / "cohort.json").is_file()
    assert str(tmp_path / "c" / "patients.csv") in done.output.replace("\n", "")
