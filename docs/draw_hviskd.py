"""Draws docs/hviskd.png, the picture of the README: a drawn slide, a student's map of it, and where the student looks.

By hand: `python docs/draw_hviskd.py WORK` takes some minutes on two cores and keeps what it trained in WORK. The slide
is of a patient of the test split; its pixels are this program's own.
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

import hviskd
from hviskd.arrays import RGB, Bools
from hviskd.attention import attention_maps, scaled_maps
from hviskd.models.input_step import InputStep
from hviskd.segmentation import heat_map

PICTURE = Path(__file__).parent / "hviskd.png"
LEGEND = """\
name: three
classes:
  - {name: tumour, colours: [[5, 208, 4], [255, 51, 0], [6, 208, 170]]}
  - {name: necrosis, colours: [[5, 5, 5], [67, 209, 248]]}
  - {name: brain, colours: [[33, 143, 166], [210, 5, 208]]}
none: [[255, 255, 255]]
"""
COLOURS = {"tumour": (213, 94, 0), "necrosis": (60, 60, 60), "brain": (0, 114, 178)}  # Okabe and Ito 2008, and a grey
TILE_PX, STRIDE_PX, MPP = 48, 12, 1.0  # µm/px of slides and tiles alike
WIDTH, GAP, MARGIN, HEADING = 520, 20, 20, 48
INK, SOFT = (26, 31, 36), (86, 97, 107)


def train(work: Path) -> None:
    """Make slides, tiles, a student and a map in a folder, unless they are there."""
    (work / "three.yaml").write_text(LEGEND, encoding="utf-8")
    cohort = hviskd.CohortSettings(patients=8, width_px=1400, height_px=1050, mpp=MPP, seed=3)
    hviskd.draw_cohort(work / "cohort", cohort, workers=1, overwrite=True)
    reference = hviskd.stain_reference(work / "cohort" / "slides" / "P01-1.svs")
    tiles = hviskd.cut_slides(
        work / "cohort" / "slides",
        work / "tiles",
        annotations=work / "cohort" / "masks",
        legend=work / "three.yaml",
        patients=work / "cohort" / "patients.csv",
        settings=hviskd.CutSettings(tile_px=TILE_PX, mpp=MPP, purity=0.8, cap=500, stain=reference),
    )
    tiles = hviskd.split_tiles(tiles, by="patient", val=0.2, test=0.2)
    changes = {"batch_size": 32, "epochs": 18, "stain_jitter": 0.1}
    recipe = hviskd.load_recipe("laptop", changes, role="student")
    run = hviskd.train(recipe, tiles, work / "student")
    patient = tiles.table.iloc[tiles.rows("test")]["patient"].iloc[0]
    slide = work / "cohort" / "slides" / f"{patient}-1.svs"
    found = hviskd.segment(run, slide, settings=hviskd.MapSettings(stride_px=STRIDE_PX, min_tissue=0.3))
    with hviskd.open_slide(slide) as opened:
        hviskd.save_slide_map(found, work / "map", opened.thumbnail(WIDTH))
    (work / "slide.txt").write_text(str(slide), encoding="utf-8")


def draw(work: Path) -> Image.Image:
    """Put the three panels beside one another."""
    slide_map = hviskd.load_slide_map(work / "map")
    with hviskd.open_slide((work / "slide.txt").read_text(encoding="utf-8")) as slide:
        width, height = slide.size
        tall = round(WIDTH * height / width)
        thumbnail = Image.fromarray(slide.read(0, 0, width, height)).resize((WIDTH, tall), Image.Resampling.LANCZOS)
        tissue = Image.fromarray(hviskd.tissue_mask(slide).tissue).resize((WIDTH, tall), Image.Resampling.NEAREST)
    tiles, model = hviskd.TileSet.open(work / "tiles"), hviskd.load_model(work / "student")
    squares = [_looking(tiles, model, name) for name in COLOURS]
    side = (tall - GAP) // 3
    right = [[Image.fromarray(one).resize((side, side), Image.Resampling.LANCZOS) for one in row] for row in squares]
    page = Image.new("RGB", (2 * MARGIN + 2 * WIDTH + 2 * GAP + 2 * side + 8, 2 * MARGIN + HEADING + tall), "white")
    top = MARGIN + HEADING
    lefts = (MARGIN, MARGIN + WIDTH + GAP, MARGIN + 2 * (WIDTH + GAP))
    page.paste(thumbnail, (lefts[0], top))
    page.paste(_mapped(slide_map, thumbnail, np.asarray(tissue)), (lefts[1], top))
    for row, pair in enumerate(right):
        for column, one in enumerate(pair):
            page.paste(one, (lefts[2] + column * (side + 8), top + row * (side + GAP // 2)))
    return _labelled(page, lefts)


def _mapped(slide_map: hviskd.SlideMap, thumbnail: Image.Image, tissue: Bools) -> Image.Image:
    """Colour the tissue of a grey slide by the most probable class, as the heat maps of the classes have it."""
    heat = np.stack([heat_map(slide_map, name, thumbnail.size) for name in COLOURS])
    colours = np.array([(*colour, 165) for colour in COLOURS.values()], np.uint8)
    layer = np.where((np.isnan(heat[0]) | ~tissue)[..., None], 0, colours[np.nan_to_num(heat).argmax(axis=0)]).astype(
        np.uint8
    )
    return Image.alpha_composite(thumbnail.convert("L").convert("RGBA"), Image.fromarray(layer)).convert("RGB")


def _looking(tiles: hviskd.TileSet, model: hviskd.Model, name: str) -> tuple[RGB, RGB]:
    """Return the surest tile of a class in the test split, and the same under the student's attention."""
    rows = np.array([row for row in tiles.rows("test") if tiles.table["class"].iloc[row] == name])
    which = model.card.classes.index(name)
    tile = tiles.pixels[rows[model.predict(tiles.pixels[rows])[:, which].argmax()]]
    images = InputStep(model.card.normalisation)(torch.from_numpy(tile[None].copy()))
    found = scaled_maps(attention_maps(model.network, images, torch.tensor([which])), TILE_PX)[0].detach().numpy()
    heat = mpl.colormaps["inferno"](found)[..., :3] * 255
    strength = 0.15 + 0.6 * found[..., None]
    return tile, (tile * (1 - strength) + heat * strength).round().astype(np.uint8)


def _labelled(page: Image.Image, lefts: tuple[int, ...]) -> Image.Image:
    folder = Path(mpl.get_data_path(), "fonts", "ttf")
    bold, plain = (ImageFont.truetype(folder / f"DejaVuSans{kind}.ttf", 20) for kind in ("-Bold", ""))
    pen = ImageDraw.Draw(page)
    for left, title in zip(lefts, ("slide", "map", "attention"), strict=True):
        pen.text((left, MARGIN), title, INK, bold)
    left = lefts[1] + 70
    for name, colour in COLOURS.items():
        pen.rounded_rectangle((left, MARGIN + 3, left + 18, MARGIN + 21), 4, colour)
        pen.text((left + 26, MARGIN), name, SOFT, plain)
        left += 52 + round(plain.getlength(name))
    return page


if __name__ == "__main__":
    work = Path(sys.argv[1])
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "slide.txt").is_file():
        train(work)
    draw(work).quantize(180, kmeans=2).save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")
