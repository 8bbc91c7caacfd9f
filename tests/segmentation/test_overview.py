import numpy as np
import pytest
from matplotlib.text import Text

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
    figure = draw_overview(some, thumbnail_of(some), **options)
    figure.canvas.draw()
    return figure


def boxes(figure):
    """Every text that is seen and is no number on the map, with its place in px."""
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    hidden = {
        label for axes in figure.axes if not axes.axison for label in (*axes.get_xticklabels(), *axes.get_yticklabels())
    }
    shown = [text for text in texts if text not in hidden and text.get_fontweight() != "bold"]
    return [(text.get_text(), text.get_window_extent()) for text in shown]


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
    figure = drawn(random_map(*shape, density=1.0, **facts), unsure_below=0.6)
    placed = boxes(figure)
    page = figure.bbox
    for words, box in placed:
        assert page.x0 <= box.x0 < box.x1 <= page.x1, words
        assert page.y0 <= box.y0 < box.y1 <= page.y1, words
    for position, (words, box) in enumerate(placed):
        for other_words, other in placed[:position]:
            assert not box.shrunk(0.98, 0.9).overlaps(other.shrunk(0.98, 0.9)), (words, other_words)


def words_of(figure):
    return " ".join(words for words, _ in boxes(figure)).replace("\n", " ")


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


def map_picture(figure):
    (image,) = [image for image in figure.axes[1].images if image.get_array().shape[-1] == 4]
    return np.asarray(image.get_array())


def test_a_tile_has_its_classs_colour_at_its_place_and_nothing_lies_over_glass():
    some = map_of([[0, 1, -1], [2, -1, 0]])
    picture = map_picture(drawn(some))
    height, width = (side // count for side, count in zip(picture.shape[:2], (2, 3), strict=True))
    for (row, column), label in np.ndenumerate(np.array([[0, 1, -1], [2, -1, 0]])):
        pixel = picture[row * height + height // 2, column * width + width // 2]
        assert tuple(pixel) == ((*some.colours[label], 255) if label >= 0 else (*pixel[:3], 0))


@pytest.mark.slow
def test_every_class_on_the_map_is_numbered_there():
    some = map_of([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 2, 2]])
    marks = {text.get_text() for text in drawn(some).axes[1].texts}
    assert marks == {"1", "2", "3"}


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
    figure = drawn(SlideMap(map_card(**facts), *no_tiles()), unsure_below=0.5)
    assert "no tile was classified" in words_of(figure)


def test_a_threshold_is_a_share():
    with pytest.raises(ValueError, match="unsure_below"):
        draw_overview(map_of([[1]]), np.zeros((4, 4, 3), np.uint8), unsure_below=2)
