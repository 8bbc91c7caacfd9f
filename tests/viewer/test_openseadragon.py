"""OpenSeadragon comes with the package, in the version of the lock file, and not with the repository."""

import json
import subprocess
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from hviskd.errors import DataError
from hviskd.viewer import page_files
from hviskd.viewer.page_files import read_page

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "packaging" / "package-lock.json"


def test_the_version_that_is_installed_is_the_one_that_is_pinned():
    pinned = json.loads(LOCK.read_text(encoding="utf-8"))["packages"]["node_modules/openseadragon"]
    assert pinned["integrity"].startswith("sha512-")
    assert "resolved" not in pinned  # whatever registry the user has set
    assert f"openseadragon {pinned['version']}".encode() in read_page().files["openseadragon.js"].content[:200]
    licence = files("hviskd.viewer") / "page" / "openseadragon" / "LICENSE.txt"
    assert "Redistribution and use" in licence.read_text(encoding="utf-8")


def test_the_package_s_licences_include_its_own():
    pinned = json.loads(LOCK.read_text(encoding="utf-8"))["packages"]["node_modules/openseadragon"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"].split(" AND ") == ["Apache-2.0", pinned["license"]]


def test_git_holds_nothing_of_it():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "bring_openseadragon.py" in listed
    assert not [name for name in listed.split() if "openseadragon/" in name or "node_modules" in name]


def test_without_it_the_viewer_says_what_to_do(monkeypatch, tmp_path):
    (tmp_path / "page").mkdir()
    monkeypatch.setattr(page_files, "files", lambda _package: tmp_path)
    with pytest.raises(DataError, match="lacks OpenSeadragon, which shows slides; install hviskd again with pip"):
        read_page()


def test_the_page_is_of_its_own_and_names_no_other_place():
    page = read_page()
    for name, (content, _) in {"index.html": page.html, **page.files}.items():
        if name != "openseadragon.js":
            text = content.decode().replace("http://www.w3.org/2000/svg", "")
            assert "http:" not in text, name
            assert "https:" not in text, name
            assert "style=" not in text, name  # which the page's policy forbids
