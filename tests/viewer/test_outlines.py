"""Outlines of Labelme, and the traced borders of a mask, come to the page as they were drawn."""

import numpy as np
import shapely
from PIL import Image

from hviskd.annotations import Legend
from hviskd.viewer import DrawnBy, OnSlides, open_viewer
from tests.annotations.make import labelme, save

from .asking import ask

SIZE = (1500, 1100)  # px of one.svs


def told(slides, drawn):
    """What the page is told of `one.svs`: the shape of each class, and the classes' colours."""
    with open_viewer(slides / "one.svs", OnSlides(drawn=drawn)) as viewer:
        (slide,) = ask(viewer, "/slides").json["slides"]
        assert slide["drawn"]
        said = ask(viewer, f"/slides/{slide['key']}/outlines").json
    shapes = {each["name"]: shapely.Polygon() for each in said["classes"]}
    for region in said["regions"]:
        first, *holes = (np.reshape(ring, (-1, 2)) for ring in region["rings"])
        name = said["classes"][region["class"]]["name"]
        shapes[name] = shapes[name].union(shapely.Polygon(first, holes))
    return shapes, {each["name"]: tuple(each["colour"]) for each in said["classes"]}


def test_outlines_of_labelme_are_those_that_were_drawn(slides, tmp_path):
    corners = [[100.5, 200], [900, 250.25], [700, 800]]
    box = [[1000, 600], [1200, 900]]
    shapes = [
        {"label": "tumour", "points": corners, "shape_type": "polygon"},
        {"label": "vessel", "points": box, "shape_type": "rectangle"},
    ]
    save(tmp_path / "one.json", labelme(shapes, size=SIZE))
    found, colours = told(slides, DrawnBy(tmp_path))
    drawn = {"tumour": shapely.Polygon(corners), "vessel": shapely.box(*box[0], *box[1])}
    assert list(found) == list(drawn)
    for name, shape in drawn.items():
        assert shapely.hausdorff_distance(found[name].exterior, shape.exterior) <= 0.05  # a tenth of a px is told
    assert len(set(colours.values())) == 2


def test_the_borders_of_a_mask_are_traced_px_by_px_with_holes(slides, tmp_path):
    mask = np.full((SIZE[1], SIZE[0], 3), 255, np.uint8)
    mask[100:700, 300:1200] = (200, 0, 0)
    mask[300:400, 500:800] = (0, 160, 0)
    Image.fromarray(mask).save(tmp_path / "one_L.png")
    legend = Legend.model_validate(
        {
            "name": "two",
            "classes": [{"name": "tumour", "colours": [(200, 0, 0)]}, {"name": "vessel", "colours": [(0, 160, 0)]}],
            "none": [(255, 255, 255)],
        }
    )
    found, colours = told(slides, DrawnBy(tmp_path, legend))
    vessel = shapely.box(500, 300, 800, 400)
    assert found["vessel"].equals(vessel)
    assert found["tumour"].equals(shapely.box(300, 100, 1200, 700) - vessel)
    assert colours == {"tumour": (200, 0, 0), "vessel": (0, 160, 0)}
