"""The picture of a slide and its tissue."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from hviskd.colours import PALETTE
from hviskd.slides import draw_tissue_outline, open_slide, tissue_mask
from tests.slides.make import glass, stained, write_svs


def pixels_of(picture: np.ndarray, colour: str) -> int:
    return int((np.abs(picture - 255 * np.array(to_rgb(colour))).max(axis=-1) < 12).sum())


def draw(tmp_path, image, mpp) -> np.ndarray:
    with open_slide(write_svs(tmp_path / "slide.svs", image, mpp=mpp, levels=1)) as slide:
        path = draw_tissue_outline(slide, tissue_mask(slide), tmp_path / "slide.png")
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


@pytest.mark.slow
def test_tissue_and_ink_are_outlined_in_two_colours(tmp_path):
    image = glass((400, 600))
    image[50:350, 50:250] = stained((300, 200), 1, 0.6)
    image[100:300, 400:460] = (30, 60, 165)
    picture = draw(tmp_path, image, 4.0)
    assert pixels_of(picture, PALETTE[1]) > 400
    assert pixels_of(picture, PALETTE[2]) > 100


@pytest.mark.parametrize("shape", [(64, 64), (40, 1500), (1500, 40)])
def test_a_slide_of_any_shape_and_without_tissue_has_a_picture(tmp_path, shape):
    picture = draw(tmp_path, glass(shape), 0.25)
    assert pixels_of(picture, PALETTE[1]) == 0


@pytest.mark.slow
def test_a_slide_all_tissue_is_outlined_at_its_edge(tmp_path):
    assert pixels_of(draw(tmp_path, stained((300, 300), 1, 0.6), 4.0), PALETTE[1]) > 400
