import base64
import io
import re

import numpy as np
from PIL import Image

from hviskd import notebook_html as show
from tests.html_tables import read_tables


def test_cells_are_words_whatever_is_in_them():
    rows = [("<script>", 12345, None), ("x", 0.123456, show.swatch((0, 160, 0)))]
    html = show.table(("<a>", "number", "b"), rows, html=(2,))
    assert "<script>" not in html
    assert read_tables(html) == [["<a>", "number", "b"], ["<script>", "12,345", "None"], ["x", "0.1235", ""]]
    assert "#00a000" in html
    assert read_tables(show.table(("a",), [(None,)]))[1] == ["–"]
    assert show.paragraph("a & b", "", "c") == "<p>a &amp; b, c</p>"


def test_the_name_of_a_column_stands_where_its_cells_do():
    html = show.table(("name", "count", "mixed", "picture"), [("a", 1, 2, "x"), ("b", 2.5, None, "y")], html=(3,))
    sides = re.findall(r"<(th|td) style=\"text-align:(left|right)", html)
    assert sides[:4] == [("th", "left"), ("th", "right"), ("th", "left"), ("th", "left")]
    assert sides[4:8] == [("td", "left"), ("td", "right"), ("td", "right"), ("td", "left")]


def test_a_number_with_its_interval_is_not_broken_and_a_sentence_is():
    interval, sentence = "0.028 (0.000 to 0.056)", "a sentence that tells at length why a slide cannot be used"
    assert f'white-space:nowrap">{interval}<' in show.table(("a",), [(interval,)])
    assert "nowrap" not in show.table(("a",), [(sentence,)])


def test_a_picture_is_the_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
    html = show.picture(pixels, 'two "classes"', lossless=True)
    data = re.search(r"image/png;base64,([^\"]*)", html)[1]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))), pixels)
    assert 'alt="two &quot;classes&quot;"' in html
