"""A release whose tag, version, changelog and citation do not agree is refused."""

import shutil
from pathlib import Path

import pytest

from hviskd import __version__

from .scripts import script

ROOT = Path(__file__).parent.parent
FILES = ("src/hviskd/version.py", "CHANGELOG.md", "CITATION.cff", "CODE_OF_CONDUCT.md", "SECURITY.md")


@pytest.fixture(scope="module")
def problems():
    return script("check_release").problems


@pytest.fixture
def ready(tmp_path):
    """A checkout that may be released."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
        content = (tmp_path / name).read_text(encoding="utf-8").replace("CONTACT-ADDRESS", "us@example.org")
        content = content.replace("## [Unreleased]", f"## [{__version__}] - 2026-12-01")
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path


def test_what_agrees_may_be_released(problems, ready):
    assert problems(f"v{__version__}", ready) == []


def test_another_tag_is_refused(problems, ready):
    assert problems("v99.0", ready) == [f"the tag is v99.0, but src/hviskd/version.py says {__version__}"]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("CHANGELOG.md", f"## [{__version__}] - 2026-12-01", "## [Unreleased]"),
        ("CITATION.cff", f"version: {__version__}", "version: 0.0.1"),
        ("SECURITY.md", "us@example.org", "CONTACT-ADDRESS"),
    ],
)
def test_what_was_forgotten_is_named(problems, ready, name, old, new):
    content = (ready / name).read_text(encoding="utf-8")
    assert old in content
    (ready / name).write_text(content.replace(old, new), encoding="utf-8")
    (wrong,) = problems(f"v{__version__}", ready)
    assert name in wrong


def test_this_checkout_cites_its_version(problems):
    assert not [wrong for wrong in problems(f"v{__version__}") if "CITATION" in wrong or "version.py" in wrong]
