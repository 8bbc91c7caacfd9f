"""The README on a package index: its links lead into the repository, or are plain words where no address is known."""

import re
from pathlib import Path

import pytest

from .scripts import script

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def on_index():
    return script("readme_on_index").on_index


def test_without_an_address_no_link_leads_nowhere_and_no_word_is_lost(on_index):
    text = on_index(README, "", "v1.0")
    assert "![" not in text
    assert {link.partition(":")[0] for link in re.findall(r"\]\(([^)]+)\)", text)} == {"https"}
    assert "patients and leaks, units, what distilling can do" in text


def test_with_an_address_links_and_pictures_lead_to_files_of_that_version(on_index):
    text = on_index(README, "https://example.org/us/hviskd", "v1.0")
    places = re.findall(r"\]\(https://example\.org/us/hviskd/(raw|blob)/v1\.0/([^)#]+)", text)
    assert ("raw", "docs/hviskd.png") in places
    assert all((ROOT / path).is_file() for _, path in places)
    assert "](https://doi.org/" in text
