import numpy as np
import pytest
from PIL import Image

from hviskd.page import Page
from hviskd.png_file import DPI
from hviskd.segmentation import SlideMap
from hviskd.segmentation.certainty import UNSURE, label_map
from hviskd.segmentation.legend import MapLegend
from hviskd.segmentation.overview import draw_overview

from .make import map_card
from .maps import map_of, no_tiles, random_map

LONG = (
    "microvascular proliferation and hyperplastic vessels of the whole tumour $core$",
    "a_name_without_any_space_that_goes_on_and_on_for_longer_than_any_line_there_is",
    "line\nend",
)
WORST = {"slide": "x" * 200 + "$.mrxs", "model": "m" * 150, "classes": LONG}


def thumbnail_of(some):
    width, height = some.card.slide_width_px, some.card.slide_height_px
    scale = 200 / max(width, height)
    shape = max(1, round(height * scale)), max(1, round(width * scale)), 3
    return np.random.default_rng(0).integers(150, 250, shape, dtype=np.uint8)


def drawn(some, **options):
    return draw_overview(some, thumbnail_of(some), **options)


def overlap(one, other):
    return max(one[0], other[0]) < min(one[2], other[2]) - 1 and max(one[1], other[1]) < min(one[3], other[3]) - 1


SHAPES = {
    "square": (9, 9),
    "one row": (1, 60),
    "one column": (60, 1),
    "wide": (9, 30),
    "tall": (40, 7),
    "one tile": (1, 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("facts", [{}, WORST], ids=["short names", "long names"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_nothing_is_cut_off_and_no_words_overlap(shape, facts):
    page = drawn(random_map(*shape, density=1.0, **facts), unsure_below=0.6)
    width, height = page.picture.size
    assert len(page.words) > 15
    for words, (left, top, right, bottom) in page.words:
        assert 0 <= left < right <= width, words
        assert 0 <= top < bottom <= height, words
    for position, (words, box) in enumerate(page.words):
        for other_words, other in page.words[:position]:
            assert not overlap(box, other), (words, other_words)


def words_of(page):
    return " ".join(words for words, _ in page.words)


@pytest.mark.slow
def test_it_says_what_it_shows_and_what_it_is_not():
    words = words_of(drawn(random_map(6, 8)))
    for part in ("section.svs", "model student", "32 px at 0.5 µm/px (16 µm)", "0.25 µm/px", "mm²", "share"):
        assert part in words
    assert "Research software, not a medical device." in words
    assert "every 4 µm" in words_of(drawn(random_map(6, 8, stride_px=8)))


def test_it_says_what_counts_as_unsure():
    words = words_of(drawn(random_map(9, 9), unsure_below=0.7))
    assert "Unsure: top probability below 0.7" in words
    assert UNSURE in words


@pytest.fixture
def placed(monkeypatch):
    """The pictures placed on a page, first the slide, then the map."""
    images = []
    monkeypatch.setattr(Page, "image", lambda _page, _x, _y, pixels: images.append(pixels))
    return images


def test_a_tile_has_its_classs_colour_at_its_place_and_nothing_lies_over_glass(placed):
    some = map_of([[0, 1, -1], [2, -1, 0]])
    drawn(some)
    slide, picture = placed
    assert slide.shape == picture.shape
    height, width = (side // count for side, count in zip(picture.shape[:2], (2, 3), strict=True))
    for (row, column), label in np.ndenumerate(np.array([[0, 1, -1], [2, -1, 0]])):
        at = row * height + height // 2, column * width + width // 2
        grey = round(255 - 0.35 * (255 - slide[at].mean()))
        assert tuple(picture[at]) == pytest.approx(some.colours[label] if label >= 0 else (grey,) * 3, abs=1)


def test_every_class_on_the_map_is_numbered_there_and_in_the_legend(monkeypatch):
    marked = []
    monkeypatch.setattr(Page, "mark", lambda _page, x, y, mark, *_, **__: marked.append((mark, x, y)))
    page = drawn(map_of([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 2, 2]]))
    (classes,) = [left / DPI for words, (left, *_) in page.words if words == "class"]
    assert {mark for mark, x, _ in marked if x < classes - 0.5} == {"1", "2", "3"}
    assert [mark for mark, x, _ in marked if x > classes - 0.5] == ["1", "2", "3"]


def test_the_page_itself_shows_slide_map_and_marks(tmp_path):
    some = map_of([[0] * 9] * 9)
    page = drawn(some)
    with Image.open(page.save(tmp_path / "overview.png")) as picture:
        np.testing.assert_array_equal(picture, page.picture)
        pixels = np.asarray(picture).astype(int)
        assert picture.info["Software"].startswith("hviskd")
        assert picture.info["dpi"] == pytest.approx((DPI, DPI), abs=0.02)
    painted = (np.abs(pixels - some.colours[0]).max(axis=-1) <= 1).sum()
    assert painted > 0.9 * (4.6 * DPI) ** 2 - 12 * 2000
    assert (pixels.max(axis=-1) < 30).sum() > 1500  # letters, the scale bar and the marks' rims


@pytest.mark.slow
def test_a_map_of_noise_and_one_of_many_classes_are_drawn():
    drawn(random_map(150, 200, density=0.9))
    names = tuple(f"class {number}" for number in range(80))
    card = map_card(classes=names, colours=((9, 9, 9),) * 80)
    shares = np.random.default_rng(0).dirichlet([0.1] * 80, 70).astype(np.float32)
    row, column = np.divmod(np.arange(70, dtype=np.int32), 10)
    some = SlideMap(card, column.astype(np.int32), row.astype(np.int32), shares)
    assert len(MapLegend.of(some, label_map(some)).rows) == 40
    drawn(some)


@pytest.mark.parametrize("facts", [{}, {"slide_width_px": 10}], ids=["no tissue", "smaller than a tile"])
def test_a_map_without_tiles_says_so(facts):
    page = drawn(SlideMap(map_card(**facts), *no_tiles()), unsure_below=0.5)
    assert "no tile was classified" in words_of(page)


def test_a_threshold_is_a_share():
    with pytest.raises(ValueError, match="unsure_below"):
        draw_overview(map_of([[1]]), np.zeros((4, 4, 3), np.uint8), unsure_below=2)
