"""What tests of cohorts share: a Model that they all map with, and maps whose pictures are empty."""

import pytest

from hviskd.page import Page
from tests.segmentation.make import write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "student").folder


@pytest.fixture
def empty_overviews(monkeypatch):
    """To draw one takes longer than to map so small a slide; `test_overview` looks at them."""
    monkeypatch.setattr("hviskd.segmentation.overview.draw_overview", lambda *_: Page(1, 1))
