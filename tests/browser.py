"""A page as a browser without a network sees it; tests of HTML use it."""

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from playwright.sync_api import Error, sync_playwright


@dataclass(frozen=True)
class Seen:
    """What a browser made of a page: its words, its pictures' widths, what it asked for, and what it complained of."""

    text: str
    picture_widths: list[int]
    requests: list[str]
    complaints: list[str]
    wider_than_screen: bool
    headings: list[str]


@contextmanager
def chromium():
    """Start Debian's Chromium, or Playwright's own; skip where there is none, but never on a build machine."""
    with sync_playwright() as driver:
        try:
            options = ["--no-sandbox", "--process-per-site"]
            browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        except Error:
            if os.environ.get("CI"):
                raise
            pytest.skip("needs Chromium: apt install chromium")
        yield browser
        browser.close()


def look_at(path) -> Seen:
    """Open an HTML file."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        requests, complaints = [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        page.goto(path.as_uri())
        page.wait_for_function("[...document.images].every(image => image.complete)")
        return Seen(
            text=page.inner_text("body"),
            picture_widths=page.evaluate("[...document.images].map(image => image.naturalWidth)"),
            requests=[url for url in requests if not url.startswith("data:")],
            complaints=complaints,
            wider_than_screen=page.evaluate("document.documentElement.scrollWidth > window.innerWidth"),
            headings=page.eval_on_selector_all("h2", "all => all.map(one => one.textContent)"),
        )
