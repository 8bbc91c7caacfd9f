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


def test_a_picture_is_the_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, 3), np.uint8)
    html = show.picture(pixels, 'two "classes"', lossless=True)
    data = re.search(r"image/png;base64,([^\"]*)", html)[1]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))), pixels)
    assert 'alt="two &quot;classes&quot;"' in html
