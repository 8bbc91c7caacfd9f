"""Slides within 1 % of a Model's µm/px are read as they are, and one line says so for a whole cohort."""

from types import SimpleNamespace

import numpy as np
import pytest

from hviskd.errors import DataError
from hviskd.models import NetworkChoice
from hviskd.models.card import untrained_card
from hviskd.reports.sections.maps import describe
from hviskd.segmentation import MapSettings, preparing, save_slide_map
from hviskd.segmentation.own_scale import at_own_scale, cohort_notes, model_mpp, own_scale_notes
from hviskd.segmentation.settings import Request
from hviskd.slides import open_slide
from tests.segmentation.make import CLASSES, TILE_PX, slide_map, write_slide


def request_at(mpp):
    return Request.of(untrained_card(NetworkChoice(name="resnet8"), CLASSES, TILE_PX, mpp), MapSettings())


def slide_at(mpp, downsamples=(1.0,)):
    return SimpleNamespace(mpp=mpp, levels=[SimpleNamespace(downsample=each) for each in downsamples])


@pytest.mark.parametrize(
    ("slide_mpp", "wanted", "read"),
    [
        (0.2525, 0.25, 0.2525),  # 1 %, though 0.2525 / 0.25 - 1 is more in binary numbers
        (0.2475, 0.25, 0.2475),
        (0.505, 0.5, 0.505),
        (1.01, 1.0, 1.01),
        (0.25251, 0.25, 0.25),
        (0.24749, 0.25, 0.25),
        (0.25 * (1 + 1e-7), 0.25, 0.25),
    ],
)
def test_a_slide_counts_as_near_up_to_1_percent(slide_mpp, wanted, read):
    assert at_own_scale(request_at(wanted), slide_at(slide_mpp)).mpp == read


def test_only_levels_of_a_whole_downsample_count():
    assert at_own_scale(request_at(0.5), slide_at(0.126, (1.0, 4.0))).mpp == 0.504
    assert at_own_scale(request_at(0.5), slide_at(0.126, (1.0, 4.002))).mpp == 0.5


def test_a_slide_is_closed_if_its_scales_are_unusable(tmp_path, monkeypatch):
    opened = []

    def watched(*args, **options):
        opened.append(open_slide(*args, **options))
        return opened[-1]

    def unusable(*_):
        raise DataError("no such level")

    monkeypatch.setattr(preparing, "open_slide", watched)
    monkeypatch.setattr(preparing, "at_own_scale", unusable)
    with pytest.raises(DataError, match="no such level"):
        preparing.prepare_slide(write_slide(tmp_path / "S.svs"), request_at(0.5))
    (slide,) = opened
    assert slide._closed


@pytest.mark.parametrize(
    ("read", "wanted", "note"),
    [
        (0.250012, 0.25, "read at its own 0.250012 µm/px, not resampled to 0.25 µm/px"),
        (0.499, 0.5, "read at its own 0.499 µm/px, not resampled to 0.5 µm/px"),
    ],
)
def test_a_note_shows_the_difference(read, wanted, note):
    assert own_scale_notes(read, wanted) == [note]
    assert model_mpp(read, ["other", note]) == wanted


@pytest.mark.parametrize(("read", "wanted"), [(0.5, 0.5), (0.2500004, 0.25)])
def test_there_is_no_note_where_no_difference_would_show(read, wanted):
    assert own_scale_notes(read, wanted) == []
    assert model_mpp(read, ["other"]) == read


def test_a_cohort_says_it_in_one_line():
    noted = [
        ("A", ["faded", *own_scale_notes(0.2526, 0.25)]),
        ("B", own_scale_notes(0.2498, 0.25)),
        ("C", ["cut off"]),
        ("D", own_scale_notes(0.499, 0.5)),
    ]
    assert cohort_notes(noted) == [
        "2 slides were read at their own 0.2498 to 0.2526 µm/px, not resampled to 0.25 µm/px",
        "1 slide was read at its own 0.499 µm/px, not resampled to 0.5 µm/px",
        "A: faded",
        "C: cut off",
    ]
    assert cohort_notes([]) == []


@pytest.mark.slow
def test_a_report_says_it_in_one_line_and_how_the_maps_were_made_once(tmp_path):
    for name, mpp in (("A", 0.499), ("B", 0.5012), ("C", 0.5)):
        mapped = slide_map([0, 1], [0, 1], slide=f"{name}.svs", mpp=mpp, notes=tuple(own_scale_notes(mpp, 0.5)))
        save_slide_map(mapped, tmp_path / "maps" / name, np.full((90, 128, 3), 240, np.uint8))
    (tmp_path / "maps" / "slides.csv").write_text("slide,folder,state,problem\n")
    section = describe(tmp_path / "maps")
    made = [line for line in section.lead if line.startswith("Model ")]
    assert len(made) == 1
    assert "at 0.5 µm/px" in made[0]
    assert [line for line in section.limits if "µm/px" in line] == [
        "2 slides were read at their own 0.499 to 0.5012 µm/px, not resampled to 0.5 µm/px"
    ]
