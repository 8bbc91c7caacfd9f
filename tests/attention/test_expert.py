import json

import numpy as np
import pytest
from PIL import Image

from hviskd.attention.expert import Outlines
from hviskd.errors import DataError


def draw(path, side=40):
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((side, side), np.uint8)
    mask[5:15, 10:30] = 1  # a mask of 0 and 1 looks black, and is none
    Image.fromarray(mask).save(path)
    return mask > 0


def test_masks_are_found_by_path_and_by_name(tmp_path):
    drawn = draw(tmp_path / "LGG" / "one.png")
    draw(tmp_path / "GBM" / "one.png")
    draw(tmp_path / "two.png")
    files = ["LGG/one.jpg", "GBM/two.png", "GBM/three.png"]
    outlines = Outlines(tmp_path, 40)
    first, second, third = map(outlines.of, files)
    assert outlines.drawn(files).tolist() == [True, True, False]
    np.testing.assert_array_equal(first, drawn)
    assert second.sum() == 200
    assert third is None


def test_labelme_polygons_are_filled(tmp_path):
    polygon = {"label": "vessel", "points": [[10, 5], [30, 5], [30, 15], [10, 15]], "shape_type": "polygon"}
    document = {"shapes": [polygon], "imageWidth": 40, "imageHeight": 40, "imagePath": "one.png"}
    (tmp_path / "one.json").write_text(json.dumps(document))
    outline = Outlines(tmp_path, 40).of("a/one.png")
    np.testing.assert_array_equal(outline, draw(tmp_path / "mask.png"))


def test_mistakes_name_the_file(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such folder"):
        Outlines(tmp_path / "nowhere", 40)
    draw(tmp_path / "one.png", side=50)
    with pytest.raises(DataError, match="no outline has the name of a tile, for example two"):
        Outlines(tmp_path, 40).drawn(["two.png"])
    with pytest.raises(DataError, match=r"one.png: 50 × 50 px, not 40 px as the tiles"):
        Outlines(tmp_path, 40).drawn(["one.png"])
    draw(tmp_path / "a" / "two.png")
    draw(tmp_path / "b" / "two.png")
    with pytest.raises(DataError, match="both have the name of the tile two"):
        Outlines(tmp_path, 40).drawn(["two.png"])
