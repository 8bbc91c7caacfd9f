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


def coco(path, *names, side=40):
    images = [{"id": n, "file_name": name, "width": side, "height": side} for n, name in enumerate(names)]
    box = {"segmentation": [], "bbox": [10, 5, 20, 10], "category_id": 1}
    drawn = [box | {"image_id": n} for n, name in enumerate(names) if "none" not in name]
    path.write_text(json.dumps({"images": images, "annotations": drawn, "categories": [{"id": 1, "name": "a"}]}))


def test_a_coco_file_outlines_many_tiles(tmp_path):
    drawn = draw(tmp_path / "own" / "four.png")
    coco(tmp_path / "instances.json", "LGG/one.png", "GBM/one.png", "two.jpg", "none.png", "four.png")
    outlines = Outlines(tmp_path, 40)
    files = ["LGG/one.png", "GBM/one.jpg", "GBM/two.png", "LGG/none.png", "LGG/three.png", "LGG/four.png"]
    assert outlines.drawn(files).tolist() == [True, True, True, False, False, True]
    np.testing.assert_array_equal(outlines.of("GBM/two.png"), drawn)
    assert outlines.of("LGG/three.png") is None
    with pytest.raises(DataError, match="2 are called"):
        outlines.of("other/one.png")
    coco(tmp_path / "more.json", "two.jpg")
    with pytest.raises(DataError, match=r"instances\.json and .*more\.json: both outline the tile a/two\.png"):
        Outlines(tmp_path, 40).of("a/two.png")
    coco(tmp_path / "more.json", "five.png", side=50)
    assert Outlines(tmp_path, 40).of("five.png").sum() == 16 * 8  # drawn on a larger picture


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
