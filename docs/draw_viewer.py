"""Draws docs/viewer.png, the picture of viewer.md: a synthetic slide with its map, outlines, and the answer to a click.

By hand: `python docs/draw_viewer.py WORK` opens in Chromium what `draw_hviskd.py` has trained in WORK.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

import hviskd

PICTURE = Path(__file__).parent / "viewer.png"
SCREEN = {"width": 1280, "height": 800}
LAYERS = "layers=classes:45,outlines:100"
ASKED = (0.5, 0.5)  # where is clicked, as shares of the slide's width and height
STILL = """() => {
  const {view, layers} = globalThis.hviskd ?? {};
  return view?.osd.world.getItemAt(0)?.getFullyLoaded() && layers.made.get("outlines")?.drawing
    && [...layers.made.get("classes").tiles.values()].every(({cells}) => cells);
}"""


def shoot(page: Page, address: str, slide: Path) -> None:
    """Open the slide, and ask about a place."""
    page.goto(address)
    page.locator("#slide-list button", has_text=slide.name).click()
    page.wait_for_function(f"() => document.title.startsWith('{slide.name}')")
    page.wait_for_function(STILL)
    page.evaluate(f"hviskd.here.ask({ASKED[0]} * hviskd.view.facts.width_px, {ASKED[1]} * hviskd.view.facts.height_px)")
    page.wait_for_selector("#here-section[aria-busy=false]")
    page.wait_for_function("() => ['here-tile', 'here-cam'].every((id) => document.getElementById(id).naturalWidth)")


def main(work: Path) -> None:
    """Show what was trained, and save what is seen."""
    slide = Path((work / "slide.txt").read_text(encoding="utf-8"))
    viewer = hviskd.view(
        slide.parent,
        maps=work / "map",
        models=work / "student",
        annotations=work / "cohort" / "masks",
        legend=work / "three.yaml",
    )
    with viewer, sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=SCREEN, reduced_motion="reduce")
        shoot(page, f"{viewer.address}#{LAYERS}", slide)
        seen = Path(folder) / "seen.png"
        page.screenshot(path=seen)
        with Image.open(seen) as picture:
            picture.convert("RGB").quantize(160, kmeans=2).save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
