"""What is drawn over a real connection: saved where it was drawn, and refused where it is hostile."""

import json
import math

import numpy as np
import pytest
import shapely
from PIL import Image

from hviskd.annotations import load_legend, read_annotation, to_outlines
from hviskd.cutting import CutSettings, cut_slides
from hviskd.slides import open_slide
from hviskd.viewer import DrawnBy, OnSlides, open_viewer
from tests.slides.make import stained, write_scn, write_svs

from .asking import ask, post
from .mapped import CELL, labels

WIDTH, HEIGHT = 900, 700
LEGEND = """
name: mine
classes:
  - {name: tumour, colours: [[200, 0, 0]]}
  - {name: stroma, colours: [[0, 160, 0]]}
"""


@pytest.fixture
def folder(tmp_path):
    write_svs(tmp_path / "secret-place" / "A.svs", stained((HEIGHT, WIDTH), 0.6, 0.7, 1), mpp=0.5, quality=None)
    return tmp_path / "secret-place"


@pytest.fixture
def viewer(folder):
    with open_viewer(folder) as viewer:
        yield viewer


@pytest.fixture
def path(viewer):
    (slide,) = ask(viewer, "/slides").json["slides"]
    return f"/slides/{slide['key']}/drawing"


def outline(*corners, label="tumour", **facts):
    ring = [float(part) for corner in corners for part in corner]
    return {"label": label, "colour": [200, 0, 0], "polygons": [[ring]], **facts}


SQUARE = outline((100, 100), (500, 100), (500, 400), (100, 400))


def sent(*regions, revision="none"):
    return {"revision": revision, "regions": list(regions)}


@pytest.mark.slow
def test_what_is_sent_is_read_by_tiles_cut_where_it_was_drawn(viewer, path, folder, tmp_path):
    assert ask(viewer, path).json["regions"] == []
    hole = [200.0, 200.0, 200.0, 300.0, 300.0, 300.0, 300.0, 200.0]
    ring = {**SQUARE, "polygons": [[*SQUARE["polygons"][0], hole]], "name": "the one on the left"}
    other = outline((600, 100.25), (850, 100.25), (850, 600.75), label="stroma")
    answer = post(viewer, path, sent(ring, other))
    assert (answer.status, answer.json["kept"], answer.json["remarks"]) == (200, None, [])
    with open_slide(folder / "A.svs") as slide:
        read = read_annotation(folder / "A.geojson", frame=slide.frame())
    assert [(region.label, region.name) for region in read.regions] == [
        ("tumour", "the one on the left"),
        ("stroma", ""),
    ]
    assert read.regions[0].geometry.area == 400 * 300 - 100 * 100
    assert read.regions[1].geometry.bounds == (600, 100.25, 850, 600.75)
    again = ask(viewer, path).json
    assert again["regions"] == [
        {**ring, "polygons": again["regions"][0]["polygons"]},
        {**other, "name": "", "polygons": again["regions"][1]["polygons"]},
    ]
    assert again["revision"] == answer.json["revision"]
    (tmp_path / "my.yaml").write_text(LEGEND)
    cut = cut_slides(
        folder,
        tmp_path / "tiles",
        annotations=folder,
        legend=tmp_path / "my.yaml",
        settings=CutSettings(tile_px=64, mpp=0.5),
    )
    assert set(cut.classes) == {"tumour", "stroma"}


def test_from_then_on_it_is_the_expert_s_annotation(viewer, path):
    slide = path.removesuffix("/drawing")
    assert not ask(viewer, slide).json["drawn"]
    first = post(viewer, path, sent(SQUARE)).json["revision"]
    assert ask(viewer, slide).json["drawn"]
    assert ask(viewer, f"{slide}/outlines").json["classes"] == [{"name": "tumour", "colour": [200, 0, 0]}]
    post(viewer, path, sent({**SQUARE, "label": "rim"}, revision=first))
    assert [each["name"] for each in ask(viewer, f"{slide}/outlines").json["classes"]] == ["rim"]


def test_of_a_scan_that_is_a_part_of_its_slide_it_counts_as_qupath_does(tmp_path):
    image = stained((400, 600), 0.6, 0.7, 1)
    write_scn(tmp_path / "S.scn", image, origin_px=(300, 200), plane_px=(1400, 1000))
    with open_viewer(tmp_path) as viewer:
        (slide,) = ask(viewer, "/slides").json["slides"]
        path = f"/slides/{slide['key']}/drawing"
        assert ask(viewer, path).json["within"] == [300, 200, 900, 600]
        wide = outline((250, 300), (500, 300), (500, 400), (250, 400))
        answer = post(viewer, path, sent(wide)).json
        assert answer["remarks"] == ["outlines cut off at the border of the slide, or of what was scanned of it (1)"]
        assert shapely.Polygon(np.reshape(answer["regions"][0]["polygons"][0][0], (-1, 2))).bounds == (
            300,
            300,
            500,
            400,
        )
    assert read_annotation(tmp_path / "S.geojson").regions[0].geometry.bounds == (0, 100, 200, 200)
    with open_slide(tmp_path / "S.scn") as opened:
        back = read_annotation(tmp_path / "S.geojson", frame=opened.frame())
    assert back.regions[0].geometry.bounds == (300, 300, 500, 400)


def test_the_second_of_two_viewers_is_told_and_both_drawings_stay(viewer, path, folder):
    mine, theirs = {**SQUARE, "label": "mine"}, {**SQUARE, "label": "theirs"}
    with open_viewer(folder) as other:
        first = post(other, path, sent(theirs))
        second = post(viewer, path, sent(mine))
    assert (first.status, second.status) == (200, 409)
    assert second.json["problem"] == "A.geojson: was changed by someone else meanwhile"
    assert ask(viewer, path).json["regions"][0]["label"] == "theirs"
    assert post(viewer, f"{path}/copy", sent(mine)).json == {"file": "A-copy.geojson"}
    assert read_annotation(folder / "A-copy.geojson").classes == ("mine",)
    assert read_annotation(folder / "A.geojson").classes == ("theirs",)


def test_an_outline_that_crosses_itself_is_repaired_and_given_back(viewer, path):
    bow = outline((100, 100), (300, 300), (300, 100), (100, 300))
    answer = post(viewer, path, sent(bow)).json
    assert len(answer["remarks"]) == 1
    assert len(answer["regions"][0]["polygons"]) == 2
    line = outline((100, 100), (200, 200), (300, 300))
    answer = post(viewer, path, sent(line, revision=answer["revision"])).json
    assert answer["regions"] == []


@pytest.mark.parametrize(
    ("region", "words"),
    [
        (
            {"polygons": [[[1e308, 0.0, 1.0, 1.0, 0.0, 1.0]]]},
            "outline 1: has a coordinate that is not finite or beyond",
        ),
        ({"polygons": [[[-1e8, 0.0, 1.0, 1.0, 0.0, 1.0]]]}, "outline 1: has a coordinate"),
        ({"polygons": [[[math.nan, 0.0, 1.0, 1.0, 0.0, 1.0]]]}, "finite number"),
        ({"polygons": [[[math.inf, 0.0, 1.0, 1.0, 0.0, 1.0]]]}, "finite number"),
        ({"polygons": [[[0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 5.0]]]}, "an x without a y"),
        ({"polygons": [[[0.0, 0.0]]]}, "at least 6 items"),
        ({"polygons": [[["0", "0", "1", "x", "0", "1"]]]}, "valid number"),
        ({"polygons": [[]]}, "at least 1 item"),
        ({"polygons": []}, "at least 1 item"),
        ({"polygons": "x"}, "valid array"),
        ({"label": ""}, "at least 1 character"),
        ({"label": " \n\t"}, "has no class"),
        ({"label": "x" * 201}, "at most 200"),
        ({"label": None}, "valid string"),
        ({"colour": [256, 0, 0]}, "less than or equal to 255"),
        ({"colour": [1.5, 0, 0]}, "valid integer"),
        ({"path": "/etc/passwd"}, "unknown key"),
    ],
)
def test_what_is_no_outline_is_refused_in_a_line_that_says_why(viewer, path, folder, region, words):
    answer = post(viewer, path, sent({**SQUARE, **region}))
    assert answer.status == 422
    assert words in answer.json["problem"]
    assert "secret-place" not in answer.json["problem"]
    assert not (folder / "A.geojson").exists()


@pytest.mark.parametrize(
    "label", ["a\nb\x00c", "../../../etc/passwd", "<script>alert(1)</script>", "Plattenepithel ä 腫瘍", "a: b: c"]
)
def test_a_class_may_have_any_name_and_stays_a_name(viewer, path, folder, label):
    assert post(viewer, path, sent({**SQUARE, "label": label})).status == 200
    assert [entry.name for entry in folder.parent.rglob("*.geojson")] == ["A.geojson"]
    (region,) = read_annotation(folder / "A.geojson").regions
    assert region.label == " ".join(label.replace("\n", " ").replace("\x00", " ").split(" "))


@pytest.mark.parametrize(
    "target",
    ["/slides/..%2f..%2fetc/drawing", "/slides/../../etc/passwd", "/slides/%00/drawing", "/slides/0/drawing/../copy"],
)
def test_other_places_cannot_be_written(viewer, folder, target):
    before = sorted(folder.parent.rglob("*"))
    assert post(viewer, target, sent(SQUARE)).status == 404
    assert sorted(folder.parent.rglob("*")) == before


@pytest.mark.parametrize("headers", [{"X_Hviskd_Token": "x"}, {"Origin": "http://evil.example"}, {"Origin": None}])
def test_other_pages_cannot_draw(viewer, path, folder, headers):
    assert post(viewer, path, sent(SQUARE), **headers).status == 403
    assert not (folder / "A.geojson").exists()


@pytest.mark.slow
def test_a_hundred_thousand_corners_are_saved_and_too_much_is_refused(viewer, path, folder):
    turn = np.linspace(0, 2 * np.pi, 100_000, endpoint=False)
    radius = 250 + 30 * np.sin(40 * turn)
    star = outline(*np.stack([450 + radius * np.cos(turn), 350 + radius * np.sin(turn)], axis=1).round(2))
    assert post(viewer, path, sent(star)).status == 200
    (region,) = read_annotation(folder / "A.geojson").regions
    assert shapely.get_num_coordinates(region.geometry) > 99_000
    scribble = np.random.default_rng(0).uniform(0, 700, (100_000, 2)).round(2)
    answer = post(viewer, path, sent(outline(*scribble)))
    assert answer.status == 422
    assert "intersects itself more than" in answer.json["problem"]
    body = json.dumps(sent(SQUARE)).encode()
    assert post(viewer, path, body + b" " * 17_000_000).status == 413
    assert post(viewer, path, body, Content_Type="text/plain").status == 415


def test_a_region_of_a_map_is_given_to_correct(mapped, mapped_keys, cohort):
    key = mapped_keys["A.svs"]
    cells = labels(0)
    row, column = 6, 5
    region = ask(mapped, f"/slides/{key}/maps/0/region?x={(column + 0.5) * CELL}&y={(row + 0.5) * CELL}").json["region"]
    assert region["label"] == ("normal", "rim", "tumour")[cells[row, column]]
    polygon = shapely.Polygon(*(np.reshape(rings, (-1, 2)) for rings in region["polygons"][0][:1]))
    assert polygon.contains(shapely.Point((column + 0.5) * CELL, (row + 0.5) * CELL))
    assert set(np.ravel(region["polygons"][0][0]) % CELL) == {0}
    assert ask(mapped, f"/slides/{key}/maps/0/region?x=1&y=1").json == {"region": None}  # no tile there
    for target, status in (
        (f"/slides/{key}/maps/9/region?x=400&y=400", 404),
        (f"/slides/{key}/maps/0/region?x=nan&y=1", 400),
        (f"/slides/{key}/maps/0/region", 400),
    ):
        assert ask(mapped, target).status == status


def test_the_classes_to_choose_from_are_those_of_map_and_outlines(mapped, mapped_keys):
    told = ask(mapped, f"/slides/{mapped_keys['A.svs']}/drawing").json
    assert [each["name"] for each in told["classes"]] == ["normal", "rim", "tumour", "Tumour"]
    assert told["file"] == "drawn/A.geojson"
    assert [region["label"] for region in told["regions"]] == ["Tumour", "rim"]
    assert len({tuple(colour) for colour in told["colours"]} & {tuple(each["colour"]) for each in told["classes"]}) == 0


def test_a_mask_stays_as_it_is_and_drawing_begins_beside_it(folder):
    given = folder.parent / "masks"
    given.mkdir()
    Image.new("RGB", (WIDTH // 4, HEIGHT // 4), (5, 208, 4)).save(given / "A_L.png")
    mask = (given / "A_L.png").read_bytes()
    legend = load_legend("ivygap")
    with open_viewer(folder, OnSlides(drawn=DrawnBy(given, legend))) as viewer:
        (slide,) = ask(viewer, "/slides").json["slides"]
        path = f"/slides/{slide['key']}/drawing"
        told = ask(viewer, path).json
        assert (told["regions"], told["file"]) == ([], "drawn/A.geojson")
        assert [each["name"] for each in told["classes"]] == list(legend.names)
        assert post(viewer, path, sent({**SQUARE, "label": legend.names[0]})).status == 200
    assert (given / "A_L.png").read_bytes() == mask
    assert to_outlines(read_annotation(given / "drawn" / "A.geojson")).classes == (legend.names[0],)


def test_a_legend_alone_gives_the_classes_to_draw(folder):
    with open_viewer(folder, OnSlides(drawn=DrawnBy(legend=load_legend("ivygap")))) as viewer:
        (slide,) = ask(viewer, "/slides").json["slides"]
        assert not slide["drawn"]
        told = ask(viewer, f"/slides/{slide['key']}/drawing").json
    assert [each["name"] for each in told["classes"]] == list(load_legend("ivygap").names)
    assert told["file"] == "A.geojson"


def test_a_damaged_file_is_told_and_stays(folder):
    (folder / "A.geojson").write_text("{")
    with open_viewer(folder) as viewer:
        (slide,) = ask(viewer, "/slides").json["slides"]
        answer = ask(viewer, f"/slides/{slide['key']}/drawing")
    assert answer.status == 422
    assert answer.json["problem"].startswith("A.geojson: not valid JSON")
