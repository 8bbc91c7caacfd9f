"""The picture of a slide's tiles: every class in its colour and by its number, where its tiles are."""

import numpy as np
import pytest
from PIL import Image

from hviskd.annotations import load_legend, read_annotation
from hviskd.cutting import CutSettings
from hviskd.cutting.candidates import find_candidates
from hviskd.cutting.picture import draw_cut_tiles
from hviskd.slides import open_slide, tissue_mask
from tests.cutting.samples import add_slide, halves, write_legend


@pytest.mark.slow
def test_tiles_have_their_classes_colours_and_numbers(tmp_path, monkeypatch):
    add_slide(tmp_path, "S", halves(640, 384, 320))
    legend, marked = load_legend(write_legend(tmp_path)), []
    monkeypatch.setattr("hviskd.cutting.picture.write_mark", lambda _axes, *mark: marked.append(mark[:3]))
    with open_slide(tmp_path / "S.svs") as slide:
        drawn = read_annotation(tmp_path / "masks" / "S_L.png", legend=legend, size=slide.size)
        found = find_candidates(slide, drawn, tissue_mask(slide), CutSettings(tile_px=64, min_tissue=0))
        chosen = np.flatnonzero(found.y_px < 192)
        path = draw_cut_tiles(slide, found, chosen, legend, tmp_path / "S.png")
    assert {mark for _, _, mark in marked} == {"1", "2"}
    for x_um, y_um, mark in marked:
        assert (x_um < 160) is (mark == "1")  # the border lies at 320 px of 0.5 µm
        assert y_um < 96
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)
    red, green, blue = np.moveaxis(picture, -1, 0)
    assert (red - np.maximum(green, blue) > 60).sum() > 1000
    assert (green - np.maximum(red, blue) > 40).sum() > 1000
