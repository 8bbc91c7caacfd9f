"""The verb `view`, run as a user runs it."""

import importlib
import json
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from http.cookiejar import CookieJar

import pytest
from typer.testing import CliRunner

import hviskd
from hviskd.cli.app import app
from tests.slides.make import patterned, write_svs


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    return write_svs(tmp_path_factory.mktemp("slides") / "one.svs", patterned(600, 400), mpp=None)


def _facts(browser, address):
    place = address.partition("?")[0]
    with browser.open(f"{place}slides", timeout=20) as listed:
        key = json.load(listed)["slides"][0]["key"]
    with browser.open(f"{place}slides/{key}", timeout=20) as facts:
        return facts.read()


@pytest.mark.slow
def test_it_prints_an_address_that_opens_the_page_and_ends_with_ctrl_c(slide):
    command = [sys.executable, "-m", "hviskd", "view", str(slide), "--no-browser"]
    # Whoever starts a test in the background may have it ignore Ctrl-C, and a child does as its parent.
    heeds = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **heeds) as running:
        last_resort = threading.Timer(100, running.kill)
        last_resort.start()
        line = running.stdout.readline()
        found = re.fullmatch(r"1 slide at (http://127\.0\.0\.1:\d+/\?token=\S{43})\n", line)
        assert found, line + running.stderr.read()
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        with browser.open(found[1], timeout=20) as page:
            assert b"<title>hviskd</title>" in page.read()
        assert "records no µm/px; give it with --slide-mpp".encode() in _facts(browser, found[1])
        running.send_signal(signal.SIGINT)
        _, said = running.communicate()
        last_resort.cancel()
    assert (running.returncode, said) == (0, "")


def test_what_is_wrong_is_told_in_one_line(slide, tmp_path):
    for given, problem in (
        ([tmp_path / "missing.svs"], "missing.svs: no such file or folder"),
        ([slide, "--port", "70000"], "--port 70000: must be from 1 to 65,535"),
        ([slide, "--host", "203.0.113.7"], "--host 203.0.113.7: not an address of this computer"),
        ([slide, "--tiles", tmp_path], "not a TileSet (no tileset.json)"),
    ):
        result = CliRunner().invoke(app, ["view", *map(str, given), "--no-browser"])
        assert result.exit_code == 2
        assert problem in result.output
        assert result.output.count("\n") == 1


def test_without_its_extra_it_says_what_to_install(slide, monkeypatch):
    monkeypatch.setattr(hviskd, "viewer", importlib.import_module("hviskd.viewer"))  # which the import below replaces
    for name in [name for name in sys.modules if name.startswith(("hviskd.viewer", "starlette", "uvicorn"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = CliRunner().invoke(app, ["view", str(slide), "--no-browser"])
    assert result.exit_code == 2
    assert result.output == "error: the viewer needs uvicorn; pip install 'hviskd[viewer]'\n"


def test_its_help_names_the_extra():
    result = CliRunner().invoke(app, ["view", "--help"], terminal_width=200)
    assert "pip install 'hviskd[viewer]'" in " ".join(result.output.split())
