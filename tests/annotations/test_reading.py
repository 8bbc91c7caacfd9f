import gzip
import io

import pytest
from PIL import Image

from hviskd.annotations import read_annotation
from hviskd.errors import DataError

from .make import SQUARE, feature, labelme, save


def test_the_content_decides_and_not_the_name(tmp_path):
    as_json = save(tmp_path / "qupath.json", feature([SQUARE], classification="a"))
    as_geojson = save(tmp_path / "labelme.geojson", labelme([{"label": "b", "points": SQUARE}]))
    assert read_annotation(as_json).classes == ("a",)
    assert read_annotation(str(as_geojson)).classes == ("b",)


@pytest.mark.parametrize("content", ["{}", "3", "null", '"text"', '{"type": "Polygon"}', '{"type": ["Feature"]}'])
def test_json_of_another_kind_is_refused(tmp_path, content):
    with pytest.raises(DataError, match="no annotation that is read; export it as QuPath GeoJSON"):
        read_annotation(save(tmp_path / "a.json", content))


def test_a_missing_empty_or_foreign_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_annotation(tmp_path / "none.json")
    (tmp_path / "empty.json").write_bytes(b"")
    with pytest.raises(DataError, match="empty"):
        read_annotation(tmp_path / "empty.json")
    (tmp_path / "zip").write_bytes(b"PK\x03\x04" + bytes(range(256)))
    with pytest.raises(DataError, match="zip: compressed; unpack it"):
        read_annotation(tmp_path / "zip")
    (tmp_path / "noise").write_bytes(bytes(range(128, 256)))
    with pytest.raises(DataError, match="not valid JSON"):
        read_annotation(tmp_path / "noise")
    with pytest.raises(DataError, match="no such file"):
        read_annotation(tmp_path)


FOREIGN = {
    "<annotations><version>1.1</version><meta/><image id='0'/></annotations>": "annotations of CVAT.*COCO.*QuPath",
    "<annotation><object><bndbox/></object></annotation>": "PASCAL VOC",
    "<OME xmlns='http://www.openmicroscopy.org/Schemas/OME/2016-06'><ROI/></OME>": "OMERO.*QuPath",
    "<ome:OME xmlns:ome='x'><ome:ROI/></ome:OME>": "OMERO.*QuPath",
    "<svg/>": "XML, but not from ImageScope, ASAP, HALO or NDP.view",
    '{"version": "2.0", "schema_ref": "https://darwin-public/schema.json"}': "Darwin.*QuPath",
    '{"item": {}, "annotations": []}': "Darwin",
    '[{"@type": "http://www.openmicroscopy.org/Schemas/OME/2016-06#ROI"}]': "OMERO.*QuPath",
    '{"@id": 1, "shapes": []}': "OMERO",
    '{"_via_settings": {}, "_via_img_metadata": {}}': "VIA",
    '[{"id": 1, "data": {"image": "a.png"}, "annotations": []}]': "Label Studio",
    '{"name": "a", "elements": []}': "HistomicsUI",
    '{"_id": "a", "annotation": {"name": "a", "elements": []}}': "HistomicsUI",
    '[{"image_id": 1, "category_id": 1, "segmentation": []}]': "COCO results without the images",
    "\xac\xed\0\5sr": "a QuPath project",
}


@pytest.mark.parametrize(("content", "named"), FOREIGN.items(), ids=range(len(FOREIGN)))
def test_annotations_of_other_tools_are_named(tmp_path, content, named):
    (tmp_path / "a.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=rf"a\.json: .*{named}") as caught:
        read_annotation(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "named"), [("BMP", "BMP"), ("GIF", "GIF"), ("WEBP", "WebP"), ("JPEG2000", "JPEG 2000")]
)
def test_a_picture_that_is_no_mask_is_named(tmp_path, kind, named):
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, kind)
    (tmp_path / "m.png").write_bytes(stream.getvalue())
    with pytest.raises(DataError, match=rf"m\.png: a {named} image; save it as PNG"):
        read_annotation(tmp_path / "m.png")


def test_packed_text_is_named(tmp_path):
    (tmp_path / "a.geojson").write_bytes(gzip.compress(b"{}"))
    with pytest.raises(DataError, match=r"a\.geojson: compressed; unpack it"):
        read_annotation(tmp_path / "a.geojson")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_text_in_another_encoding_is_named(tmp_path, encoding):
    path = save(tmp_path / "a.json", labelme([{"label": "b", "points": SQUARE}]))
    path.write_bytes(path.read_text().encode(encoding))
    with pytest.raises(DataError, match="not text in UTF-8; save it as UTF-8"):
        read_annotation(path)
