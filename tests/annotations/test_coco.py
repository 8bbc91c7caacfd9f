import json

import numpy as np
import pytest
import shapely
from pycocotools import mask as coco_tools

from hviskd.annotations import UNCLASSIFIED, coco, read_annotation
from hviskd.annotations.coco import BOXES
from hviskd.annotations.drawn import MENDED, NO_AREA
from hviskd.errors import DataError
from hviskd.slide_frame import SlideFrame

from .make import blobs, save

WIDTH, HEIGHT = 200, 160
BOX = [10, 20, 50, 20, 50, 60, 10, 60]


def image(identity=1, name="train/S1.svs", size=(WIDTH, HEIGHT), **more):
    return {"id": identity, "file_name": name, "width": size[0], "height": size[1]} | more


def drawn(segmentation, image_id=1, category_id=7, **more):
    return (
        {"id": 1, "image_id": image_id, "category_id": category_id, "iscrowd": 0, "area": 1.5}
        | more
        | {"segmentation": segmentation}
    )


def data_set(*annotations, images=None, categories=("Tumour", "stroma")):
    return {
        "info": {"year": None},
        "licenses": [],
        "images": [image()] if images is None else images,
        "annotations": list(annotations),
        "categories": [{"id": 7 + n, "name": name, "supercategory": ""} for n, name in enumerate(categories)],
    }


def read(tmp_path, document, **options):
    return read_annotation(save(tmp_path / "coco.json", document), **options)


def encoded(mask, *, compressed):
    """Encode a mask with COCO's own tools."""
    text = coco_tools.encode(np.asfortranarray(mask.astype(np.uint8)))
    if compressed:
        return {"size": text["size"], "counts": text["counts"].decode()}
    flat = mask.T.reshape(-1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [2]])))
    return {"size": list(mask.shape), "counts": np.diff(np.concatenate([[0], edges])).tolist()}


def test_polygons_are_those_of_cocos_own_tools(tmp_path):
    regions = [region for region in blobs(12, extent=150) if not region.geometry.interiors]
    rings = [np.round(shapely.get_coordinates(r.geometry.exterior)[:-1], 2) for r in regions]
    found = read(
        tmp_path, data_set(*(drawn([ring.ravel().tolist()], category_id=7 + n % 2) for n, ring in enumerate(rings)))
    )
    assert [region.label for region in found.regions] == [("Tumour", "stroma")[n % 2] for n in range(len(rings))]
    assert found.size == (WIDTH, HEIGHT)
    for ring, region in zip(rings, found.regions, strict=True):
        one = coco_tools.frPyObjects([ring.ravel().tolist()], HEIGHT, WIDTH)
        expected = coco_tools.decode(one)[..., 0]
        centres = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
        mine = shapely.contains_xy(region.geometry, *centres)
        assert (mine != expected).mean() < 0.006  # theirs rounds to px
        assert region.geometry.area == pytest.approx(shapely.Polygon(ring).area)


@pytest.mark.slow
@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("kind", ["noise", "full", "empty", "bars", "corner", "blob", "tall"])
def test_run_length_masks_are_those_of_cocos_own_tools(tmp_path, kind, compressed):
    rng = np.random.default_rng(5)
    mask = np.zeros((HEIGHT, WIDTH), bool)
    if kind == "noise":
        mask = rng.random((HEIGHT, WIDTH)) < 0.3
    elif kind == "full":
        mask[:] = True
    elif kind == "bars":
        mask[:, 20:30] = mask[40:50] = True
    elif kind == "corner":
        mask[0, 0] = mask[-1, -1] = True
    elif kind == "blob":
        mask[30:70, 80:140] = np.hypot(*np.mgrid[-20:20, -30:30]) < 25
    elif kind == "tall":
        mask[5:, 3] = mask[:9, 4] = True  # a run that goes on in the next column
    found = read(tmp_path, data_set(drawn(encoded(mask, compressed=compressed), iscrowd=1)))
    np.testing.assert_array_equal(found.rasterise(0, 0, WIDTH, HEIGHT, 1) == 0, mask)
    assert found.remarks == ({NO_AREA: 1} if kind == "empty" else {})


def test_parts_of_an_object_are_one_region_and_overlap_once(tmp_path):
    other = [30, 40, 70, 40, 70, 80, 30, 80]
    (region,) = read(tmp_path, data_set(drawn([BOX, other]))).regions
    assert region.geometry.area == 1600 + 1600 - 400
    tie = drawn([[0, 0, 10, 10, 10, 0, 0, 10]])
    flat = drawn([[0, 0, 10, 10]])
    whole = drawn(BOX)  # without the list of parts
    found = read(tmp_path, data_set(tie, flat, whole))
    assert [each.geometry.area for each in found.regions] == pytest.approx([50, 1600])
    assert found.remarks == {MENDED: 1, NO_AREA: 1}


def test_boxes_and_what_has_no_area_are_counted(tmp_path):
    boxed = [drawn([], bbox=[5, 6, 10, 20]), drawn(None, bbox=[5.5, 6, 2, 2]), drawn([], bbox=[0, 0, 0, 5])]
    keypoints = drawn([], keypoints=[1, 2, 2])
    found = read(tmp_path, data_set(*boxed, keypoints))
    assert [region.geometry.area for region in found.regions] == [200, 4]
    assert found.remarks == {BOXES: 2, NO_AREA: 2}


def test_without_categories_regions_have_no_class(tmp_path):
    assert read(tmp_path, data_set(drawn([BOX], category_id=None), categories=())).classes == (UNCLASSIFIED,)


def test_of_several_images_the_slides_is_taken(tmp_path):
    images = [image(1, "a\\S1.png"), image(2, "S10.svs"), image("x", "other/S2.ome.tif")]
    document = data_set(
        drawn([BOX], 1), drawn([BOX], 2, 8), drawn([BOX], 2), drawn([BOX], "x", 8), drawn("nonsense", 99), images=images
    )
    counts = {
        slide: len(read(tmp_path, document, slide=slide).regions) for slide in ("S1.svs", "S10.svs", "S2.ome.tif")
    }
    other = "objects of images that the file does not list left out"
    assert read(tmp_path, document, slide="S1.svs").remarks == {other: 1}
    assert counts == {"S1.svs": 1, "S10.svs": 2, "S2.ome.tif": 1}
    with pytest.raises(DataError, match=r"coco\.json: images: none is called S3, but S1\.png, S10\.svs, S2\.ome\.tif"):
        read(tmp_path, document, slide="S3.svs")
    with pytest.raises(DataError, match=r"images: 3 images \(S1\.png, .*say which one to read with `slide='NAME'`"):
        read(tmp_path, document)
    with pytest.raises(DataError, match=r"2 are called S1\.svs"):
        read(tmp_path, data_set(images=[image(1, "a/S1.svs"), image(2, "b/S1.svs")]), slide="S1.svs")
    with pytest.raises(DataError, match=r"none is called S1, but none"):
        read(tmp_path, data_set(images=[]), slide="S1.svs")


def test_the_only_image_of_a_file_called_as_the_slide_is_its(tmp_path):
    document = data_set(drawn([BOX]), images=[image(name="export_0001.png")])
    assert len(read_annotation(save(tmp_path / "S1.svs.json", document), slide="S1.svs").regions) == 1
    with pytest.raises(DataError, match="none is called S1, but export_0001"):
        read_annotation(save(tmp_path / "S10.json", document), slide="S1.svs")


def test_an_image_is_laid_on_the_slide_by_its_size(tmp_path):
    whole, scan = (400, 320), (200, 160)
    slide = SlideFrame((1000, 900), (210, 170), scan)
    (region,) = read(tmp_path, data_set(drawn([BOX])), frame=slide).regions
    assert region.geometry.bounds == (220, 190, 260, 230)
    found = read(tmp_path, data_set(drawn([BOX])), size=whole)
    assert found.regions[0].geometry.bounds == (20, 40, 100, 120)
    assert found.remarks == {"regions of an image of 200 × 160 px, scaled to the slide": 1}
    with pytest.raises(DataError, match=r"S1\.svs has 200 × 160 px, but the slide has 300 × 300 px"):
        read(tmp_path, data_set(drawn([BOX])), size=(300, 300))
    unsized = data_set(drawn([BOX]), images=[image(size=(0, None))])
    assert read(tmp_path, unsized, size=whole).regions[0].geometry.bounds == (10, 20, 50, 60)
    with pytest.raises(DataError, match=r"the size of S1\.svs is not stated"):
        read(tmp_path, unsized, frame=slide)


RUNS = {"size": [4, 5]}


@pytest.mark.parametrize(
    ("segmentation", "wrong"),
    [
        ([[1, 2, 3]], "odd number of coordinates"),
        ([[1, 2, 3, "4"]], "not a number"),
        ([[1, 2, 3, float("nan"), 5, 6]], "not finite"),
        ([[[1, 2], [3, 4], [5, 6], [7, 8]]], r"list of \[x, y\]"),
        ("abc", "must be a list"),
        ({"size": [1, 2, 3], "counts": [6]}, "needs its size"),
        ({"size": [HEIGHT, WIDTH + 1], "counts": [5]}, "but its image has another size"),
        (RUNS, "another size"),
        ({"size": [HEIGHT, WIDTH], "counts": None}, "text or a list of whole numbers"),
        ({"size": [HEIGHT, WIDTH], "counts": [1, 2]}, "do not add up to 160 × 200 px"),
        ({"size": [HEIGHT, WIDTH], "counts": [-1, 32001]}, "do not add up"),
        ({"size": [HEIGHT, WIDTH], "counts": [2**62, 2**62, 2**62]}, "do not add up"),
        ({"size": [HEIGHT, WIDTH], "counts": [2**70]}, "longer than any image"),
        ({"size": [HEIGHT, WIDTH], "counts": [True]}, "whole numbers"),
        ({"size": [HEIGHT, WIDTH], "counts": ""}, "no text of a mask"),
        ({"size": [HEIGHT, WIDTH], "counts": "é"}, "characters that no mask has"),
        ({"size": [HEIGHT, WIDTH], "counts": "!!"}, "no text of a mask"),
        ({"size": [HEIGHT, WIDTH], "counts": "PPPP"}, "no text of a mask"),
        ({"size": [HEIGHT, WIDTH], "counts": "P" * 12 + "1"}, "a number that is longer"),
        ({"size": [HEIGHT, WIDTH], "counts": "123"}, "do not add up"),
        ({"size": [HEIGHT, 0], "counts": []}, "width and height must be numbers"),
    ],
)
def test_a_damaged_object_is_refused_in_one_line(tmp_path, segmentation, wrong):
    with pytest.raises(DataError, match=rf"coco\.json: annotations\[0\]\.segmentation: .*{wrong}") as caught:
        read(tmp_path, data_set(drawn(segmentation)))
    assert "\n" not in str(caught.value)


def test_other_damage_is_named(tmp_path):
    with pytest.raises(DataError, match=r"category_id: is none of the categories"):
        read(tmp_path, data_set(drawn([BOX], category_id=70)))
    with pytest.raises(DataError, match=r"category_id: is none of the categories"):
        read(tmp_path, data_set(drawn([BOX], category_id=[{}])))
    with pytest.raises(DataError, match=r"bbox: must be x, y, width and height"):
        read(tmp_path, data_set(drawn([], bbox=[1, 2, 3])))
    with pytest.raises(DataError, match=r"images\[0\]: width and height must be numbers"):
        read(tmp_path, data_set(images=[image(size=("9", 9))]))
    with pytest.raises(DataError, match="key 'image_id' appears twice"):
        read(tmp_path, json.dumps(data_set(drawn([BOX]))).replace('"image_id"', '"image_id": 3, "image_id"'))


def test_masks_without_end_are_refused(tmp_path, monkeypatch):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[::2, ::2] = True
    document = data_set(drawn(encoded(mask, compressed=True)))
    monkeypatch.setattr(coco, "EDGE_LIMIT", 1000)
    with pytest.raises(DataError, match="more than 1000 edges"):
        read(tmp_path, document)
    monkeypatch.setattr(coco, "MASK_LIMIT_PX", 1000)
    with pytest.raises(DataError, match="masks of over 1000 px together"):
        read(tmp_path, document)
    monkeypatch.setattr("hviskd.annotations.run_lengths.RUN_LIMIT", 10)
    for compressed in (True, False):
        with pytest.raises(DataError, match="over 10 (runs|characters)"):
            read(tmp_path, data_set(drawn(encoded(mask, compressed=compressed))))
