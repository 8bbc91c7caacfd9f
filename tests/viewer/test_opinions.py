"""What is said of a place: by the map where there is one, else as `segment` computes it; and where a Model looks."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from hviskd.attention import attention_maps
from hviskd.attention.overlays import overlay
from hviskd.attention.result import scaled_map
from hviskd.models import Compute, InputStep
from hviskd.segmentation import save_slide_map, segment
from hviskd.slides import open_slide, stain_reference
from hviskd.viewer import DrawnBy, OnSlides, open_viewer
from tests.segmentation.make import CLASSES, TILE_PX, tissue_on_glass, write_model, write_slide

from .asking import ask
from .mapped import square

TORCH = Compute(engine="torch", threads=1)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A slide with tissue right of 300 px of glass, two Models, and the map by one of them."""
    folder = tmp_path_factory.mktemp("secret-place")
    path = write_slide(folder / "slides" / "S.svs", tissue_on_glass(1000, 700))
    student, other = write_model(folder / "student"), write_model(folder / "other", seed=5)
    made = segment(student, path, compute=TORCH)
    save_slide_map(made, folder / "maps" / "S")
    drawn = {"type": "FeatureCollection", "features": [square(448, 320, 96, "Rim")]}
    (folder / "S.geojson").write_text(json.dumps(drawn))
    return folder, path, student, other, made


@pytest.fixture(scope="module")
def viewer(place):
    folder, path, *_ = place
    shown = OnSlides((folder / "maps",), DrawnBy(folder / "S.geojson"), (folder / "student", folder / "other"))
    with open_viewer(path, shown) as viewer:
        yield viewer


@pytest.fixture(scope="module")
def base(viewer):
    (slide,) = ask(viewer, "/slides").json["slides"]
    return f"/slides/{slide['key']}/at"


def pixels(answer):
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.body)))


@pytest.mark.slow
def test_a_map_answers_for_its_model_and_other_models_answer_themselves(viewer, base, place):
    _, path, _, other, made = place
    said = ask(viewer, f"{base}?x=500&y=350").json
    mapped, live = said["opinions"]
    assert [(one["name"], one["live"], one["explains"]) for one in said["opinions"]] == [
        ("student", False, True),
        ("other", True, True),
    ]
    column, row = 500 // 64, 350 // 64
    (at,) = np.flatnonzero((made.row == row) & (made.column == column))
    assert mapped["probabilities"] == pytest.approx(made.probabilities[at].tolist(), abs=1e-6)
    tile = {"row": row, "column": column, "x_px": 448, "y_px": 320, "side0_px": 64.0, "tile_px": TILE_PX, "mpp": 0.5}
    assert mapped["tile"] == live["tile"] == tile
    with open_slide(path) as slide:
        read = slide.read(448, 320, 64, 64, 0.5)
    assert live["probabilities"] == pytest.approx(other.predict(read[None])[0].tolist(), abs=1e-5)
    assert live["classes"] == list(CLASSES)


@pytest.mark.slow
def test_where_the_map_has_no_tile_its_model_answers_live(viewer, base, place):
    _, path, student, *_ = place
    first = ask(viewer, f"{base}?x=20&y=20").json["opinions"][0]
    with open_slide(path) as slide:
        glass = slide.read(0, 0, 64, 64, 0.5)
    assert first["live"]
    assert first["probabilities"] == pytest.approx(student.predict(glass[None])[0].tolist(), abs=1e-5)


@pytest.mark.slow
def test_a_map_alone_says_that_there_was_too_little_tissue(place):
    folder, path, *_ = place
    with open_viewer(path, OnSlides((folder / "maps",))) as viewer:
        (slide,) = ask(viewer, "/slides").json["slides"]
        (said,) = ask(viewer, f"/slides/{slide['key']}/at?x=20&y=20").json["opinions"]
        assert (said["probabilities"], said["problem"]) == (None, "not classified: too little tissue")
        refused = ask(viewer, f"/slides/{slide['key']}/at/0/attention/0?x=500&y=350")
        assert (refused.status, refused.json["problem"]) == (422, "student: give the Model to see where it looks")


@pytest.mark.slow
def test_pictures_are_the_tile_and_its_grad_cam_map(viewer, base, place):
    _, path, student, *_ = place
    with open_slide(path) as slide:
        tile = slide.read(448, 320, 64, 64, 0.5)
    np.testing.assert_array_equal(pixels(ask(viewer, f"{base}/0/tile?x=500&y=350")), tile)
    images = InputStep(student.card.normalisation)(torch.from_numpy(tile[None].copy()))
    for target in ("tile", "attention/0"):
        assert ask(viewer, f"{base}/0/{target}?x=500&y=350").headers["cache-control"] == "no-store"
    for label in range(3):
        found = attention_maps(student.network.float(), images, torch.tensor([label]))[0].numpy()
        shown = pixels(ask(viewer, f"{base}/0/attention/{label}?x=500&y=350")).astype(int)
        inside = np.ones((64, 64), bool) if CLASSES[label] == "rim" else None  # the expert's square hides no px of it
        want = overlay(tile, scaled_map(found, 64), inside).astype(int)
        assert np.abs(shown - want).max() <= 2


@pytest.mark.slow
def test_the_expert_s_class_is_told_with_its_share_of_the_tile(viewer, base):
    inside = ask(viewer, f"{base}?x=500&y=350").json["expert"]
    assert inside == {"class": "Rim", "shares": [["Rim", 1.0]], "problem": ""}
    beside = ask(viewer, f"{base}?x=550&y=350").json["expert"]  # the tile from 512 to 576; the square ends at 544
    assert (beside["class"], beside["shares"]) == (None, [["Rim", 0.5]])


@pytest.mark.slow
def test_beyond_the_last_whole_tile_nobody_answers(viewer, base):
    for x, y in ((999, 350), (-5, 350), (1e6, 1), (500, 2_000_000)):
        said = ask(viewer, f"{base}?x={x}&y={y}").json["opinions"]
        assert {(one["tile"], one["probabilities"], one["problem"]) for one in said} == {
            (None, None, "no whole tile here")
        }
        assert ask(viewer, f"{base}/0/tile?x={x}&y={y}").status == 404


@pytest.mark.parametrize(
    "query", ["", "?x=1", "?x=a&y=1", "?x=nan&y=1", "?x=1&y=inf", "?x=1e999&y=0", "?x=1e300&y=0", "?x=&y="]
)
def test_places_that_are_none_are_refused(viewer, base, query):
    assert ask(viewer, base + query).status == 400


def test_opinions_and_classes_that_do_not_exist_are_refused(viewer, base):
    for target in ("/7/tile", "/0/attention/3", "/0/attention/99999999999999999999", "/99/attention/0"):
        assert ask(viewer, f"{base}{target}?x=500&y=350").status == 404


@pytest.mark.slow
def test_a_model_of_normalised_stain_sees_the_tile_as_segment_shows_it(place, tmp_path):
    _, path, *_ = place
    reference = stain_reference(write_slide(tmp_path / "rich.svs", tissue_on_glass(1000, 700, seed=9)))
    model = write_model(tmp_path / "stained", stain=reference)
    made = segment(model, path, compute=TORCH)
    assert made.card.stain != "none"
    with open_viewer(path, OnSlides(models=(model,))) as viewer:
        (slide,) = ask(viewer, "/slides").json["slides"]
        for at in (0, len(made) // 2, len(made) - 1):
            x, y = made.x_px[at] + 30, made.y_px[at] + 30
            (said,) = ask(viewer, f"/slides/{slide['key']}/at?x={x}&y={y}").json["opinions"]
            assert said["live"]
            assert said["probabilities"] == pytest.approx(made.probabilities[at].tolist(), abs=2e-3)


@pytest.mark.slow
def test_a_live_tile_of_a_slide_within_1_percent_is_the_one_that_segment_classifies(tmp_path):
    """At 0.499 µm/px under a Model of 0.5: neither the places nor the pixels are those of resampled tiles."""
    path = write_slide(tmp_path / "slides" / "S.svs", tissue_on_glass(1000, 700), mpp=0.499)
    reference = stain_reference(write_slide(tmp_path / "rich.svs", tissue_on_glass(1000, 700, seed=9)))
    model = write_model(tmp_path / "stained", stain=reference)
    made = segment(model, path, compute=TORCH)
    assert (made.card.mpp, made.tile0_px) == (0.499, TILE_PX)
    with open_viewer(path, OnSlides(models=(model,))) as viewer:
        (slide,) = ask(viewer, "/slides").json["slides"]
        for at in (0, len(made) // 2, len(made) - 1):
            x, y = int(made.x_px[at]), int(made.y_px[at])
            (said,) = ask(viewer, f"/slides/{slide['key']}/at?x={x + 30}&y={y + 30}").json["opinions"]
            tile = said["tile"]
            assert (tile["x_px"], tile["y_px"], tile["side0_px"], tile["mpp"]) == (x, y, TILE_PX, 0.499)
            assert said["live"]
            assert said["probabilities"] == pytest.approx(made.probabilities[at].tolist(), abs=2e-3)
