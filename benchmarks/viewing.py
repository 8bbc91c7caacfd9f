"""How fast and how small the viewer is, beside OpenSlide's own deep-zoom server on the same slide and the same path.

The slide is an Aperio SVS with JPEG tiles, the mosaic of `cutting.py`. The path, `viewing_path.json`, holds the tiles
that a browser asked the viewer for on 150 zooms and pans with wheel and mouse; `--record` records another. Both servers
are asked for the tiles of one step over six connections, as a browser does, and for those of the next when all have
come: cold in a fresh process, then warm on the same path again. OpenSlide's server is the one of its
examples (`deepzoom_server.py`: Flask, threads, tiles of 254 px with a border of 1, JPEG of quality 75). Other programs
on the machine lengthen seconds, so the CPU time of the server is given, too, and each number is the median of
`--repeats` runs in turn.

    pip install flask playwright
    python benchmarks/viewing.py
    python benchmarks/viewing.py --only tiles memory
"""

import argparse
import json
import os
import platform
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cutting import make_slide
from segmentation import write_model
from start import commit
from viewing_server import Connection, Server, follow, look_at_all, look_on, viewer

HERE = Path(__file__).parent
PATH = HERE / "viewing_path.json"
WIDTH_PX, HEIGHT_PX = 15_000, 12_000
VIEWERS, CLICKS = 10, 30
MOVES = 150
SIDES = (("x", "width"), ("y", "height"))
DEEP_ZOOM = """
import sys
from io import BytesIO
from flask import Flask, abort, make_response
from openslide import OpenSlide
from openslide.deepzoom import DeepZoomGenerator

app = Flask(__name__)
slide = DeepZoomGenerator(OpenSlide(sys.argv[1]), tile_size=254, overlap=1, limit_bounds=True)

@app.route("/slide_files/<int:level>/<int:col>_<int:row>.jpeg")
def tile(level, col, row):
    try:
        tile = slide.get_tile(level, (col, row))
    except ValueError:
        abort(404)
    stream = BytesIO()
    tile.save(stream, "jpeg", quality=75, icc_profile=tile.info.get("icc_profile"))
    answer = make_response(stream.getvalue())
    answer.mimetype = "image/jpeg"
    return answer

app.run("127.0.0.1", int(sys.argv[2]), threaded=True)
"""


def main() -> None:
    """Measure, and print one table."""
    options = parse()
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        folder = options.slide.parent if options.slide else Path(work) / "drawn"
        if options.slide is None:
            # Not drawn here: a process counts what the one that started it held as its own peak.
            subprocess.run([sys.executable, __file__, "--draw", "--work", str(folder)], check=True)
        slide = options.slide or folder / "slide.svs"
        if options.record:
            record(slide)
            return
        rows = [row for name in options.only or MEASURES for row in MEASURES[name](slide, Path(work), options.repeats)]
    report = render(rows)
    print(report)
    if options.output:
        options.output.write_text(report, encoding="utf-8")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=MEASURES)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--slide", type=Path, help="this one, which is drawn otherwise")
    parser.add_argument("--record", action="store_true", help="record another path, with Chromium")
    parser.add_argument("--work", type=Path, help="where there is room for slides and maps")
    parser.add_argument("-o", "--output", type=Path, help="also write the table here")
    parser.add_argument("--draw", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.draw:
        make_slide(options.work, WIDTH_PX, HEIGHT_PX)
        sys.exit()
    return options


def steps() -> list[list[str]]:
    """Return the tiles of each step of the path, as level/column/row."""
    return [step.split() for step in json.loads(PATH.read_text(encoding="utf-8"))["steps"]]


@contextmanager
def deep_zoom(slide: Path) -> Iterator[Server]:
    """Run OpenSlide's example on a slide."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [sys.executable, "-c", DEEP_ZOOM, str(slide), str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    if process.poll() is not None:
                        sys.exit("OpenSlide's server ended at once: pip install flask")
                    time.sleep(0.05)
            yield Server(process, port, "", lambda tile: "/slide_files/{}/{}_{}.jpeg".format(*tile.split("/")))
        finally:
            process.terminate()


def tiles(slide: Path, _work: Path, repeats: int) -> list[tuple[str, str]]:
    """Compare both servers, in turn."""
    path = steps()
    found: dict[str, list[dict[str, float]]] = {f"{name} {heat}": [] for name in SERVERS for heat in ("cold", "warm")}
    for _ in range(repeats):
        for name, open_server in SERVERS.items():
            with open_server(slide) as server:
                for heat in ("cold", "warm"):
                    cpu, began = server.cpu_s(), time.perf_counter()
                    took = follow(server, path)
                    seconds = time.perf_counter() - began
                    one = {
                        "rate": len(took) / seconds,
                        "p95_ms": 1000 * statistics.quantiles(took, n=20)[-1],
                        "cpu_ms": 1000 * (server.cpu_s() - cpu) / len(took),
                    }
                    print(name, heat, one, file=sys.stderr, flush=True)
                    found[f"{name} {heat}"].append(one)
    middle = {key: {of: statistics.median(one[of] for one in all_) for of in all_[0]} for key, all_ in found.items()}
    rows = [("path", f"{len(path)} steps, {sum(map(len, path)):,} tiles")]
    for heat in ("cold", "warm"):
        ours, theirs = middle[f"hviskd {heat}"], middle[f"deep zoom {heat}"]
        for of, what, unit in (
            ("rate", "tiles a second", ""),
            ("p95_ms", "95 of 100 tiles within", " ms"),
            ("cpu_ms", "CPU time a tile", " ms"),
        ):
            ratio = ours[of] / theirs[of] if of == "rate" else theirs[of] / ours[of]
            rows.append(
                (f"{what}, {heat}", f"{ours[of]:.4g}{unit}; OpenSlide's {theirs[of]:.4g}{unit}: **{ratio:.1f} times**")
            )
    return rows


def memory(slide: Path, _work: Path, _repeats: int) -> list[tuple[str, str]]:
    """Let ten look at a time, each from another step of the path on: at the slide alone, then at all there is."""
    path = steps()
    begins = [len(path) * number // VIEWERS for number in range(VIEWERS)]
    model = model_beside(slide)
    maps = maps_beside(slide, model)
    drawn = maps / slide.stem / f"{slide.stem}.geojson"

    def peak(look: Callable[[Server, list[list[str]]], object], *given: object) -> str:
        with viewer(slide, *given) as server:
            before = server.peak_mib()
            with ThreadPoolExecutor(VIEWERS) as pool:
                list(pool.map(lambda begin: look(server, path[begin:] + path[:begin]), begins))
            return f"{server.peak_mib():.0f} MiB; before they came {before:.0f} MiB"

    return [
        (f"peak memory, {VIEWERS} viewers on one slide", peak(follow)),
        (
            "the same with a map's layers, outlines, events, and a Model that answers clicks",
            peak(look_at_all, "-m", model, "--maps", maps, "--annotations", drawn),
        ),
    ]


def first(slide: Path, _work: Path, repeats: int) -> list[tuple[str, str]]:
    """Measure from the command to its address, and from there to the first picture of the slide."""
    up, shown = [], []
    for _ in range(repeats):
        began = time.perf_counter()
        with viewer(slide) as server:
            up.append(server.up - began)
            Connection(server).get(server.tile(steps()[0][0]))
            shown.append(time.perf_counter() - server.up)
    return [
        ("the command is up after", f"{statistics.median(up):.2f} s"),
        ("first picture of the slide after that", f"{statistics.median(shown):.2f} s"),
    ]


def model_beside(slide: Path) -> Path:
    """Return a Model with drawn weights that lies beside the slide, written if it is not there."""
    if not (slide.parent / "model").is_dir():
        write_model(argparse.Namespace(work=slide.parent, network="mobilenet_v2", int8=False))
    return slide.parent / "model"


def maps_beside(slide: Path, model: Path) -> Path:
    """Return the folder of a map of the slide that lies beside it, made by the Model if it is not there."""
    maps = slide.parent / "maps"
    if not (maps / slide.stem / "summary.json").is_file():
        command = [sys.executable, "-m", "hviskd", "segment", str(slide), "-m", str(model), "-o", str(maps)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return maps


def click(slide: Path, _work: Path, _repeats: int) -> list[tuple[str, str]]:
    """Ask about places without a map: probabilities, and where the Model looks for the first class."""
    model = model_beside(slide)
    places = [(400 + 450 * number, 700 + 350 * number) for number in range(CLICKS)]
    with viewer(slide, "-m", model) as server:
        connection = Connection(server)
        connection.get("/models")
        answers, pictures = [], []
        for x, y in places:
            at = server.tile("").replace("/tiles/", "/at")
            began = time.perf_counter()
            connection.get(f"{at}?x={x}&y={y}")
            answers.append(time.perf_counter() - began)
            connection.get(f"{at}/0/attention/0?x={x}&y={y}")
            pictures.append(time.perf_counter() - began)
        peak = server.peak_mib()
    rows = [
        (f"a click's {what}, mobilenet_v2", f"{1000 * statistics.median(took):.0f} ms, of 20 the slowest "
         f"{1000 * statistics.quantiles(took, n=20)[-1]:.0f} ms")
        for what, took in (("probabilities", answers), ("probabilities and attention", pictures))
    ]  # fmt: skip
    return [*rows, ("peak memory with a Model", f"{peak:.0f} MiB")]


def beside(slide: Path, work: Path, repeats: int) -> list[tuple[str, str]]:
    """Segment alone and while somebody looks at a new part of the slide twice a second, in turn."""
    model = model_beside(slide)
    rates: dict[bool, list[float]] = {False: [], True: []}
    viewed_s = []
    for number in range(2 * repeats):
        looks = bool(number % 2)
        with viewer(slide) as server:
            ended = threading.Event()
            looking = threading.Thread(target=look_on, args=(server, steps(), ended), daemon=True)
            cpu = server.cpu_s()
            if looks:
                looking.start()
            output = work / f"maps-{number}"
            command = [sys.executable, "-m", "hviskd", "segment", str(slide), "-m", str(model)]
            subprocess.run(
                [*command, "-o", str(output)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            ended.set()
            used_s = server.cpu_s() - cpu
            if looks:
                looking.join()  # lest the server ends before it
        summary = json.loads((output / "slide" / "summary.json").read_text(encoding="utf-8"))
        spent = summary["seconds"]["read"] + summary["seconds"]["network"]
        rates[looks].append(summary["tiles"] / spent)
        if looks:
            viewed_s.append(used_s / spent)
        print("beside" if looks else "alone", rates[looks][-1], file=sys.stderr, flush=True)
    alone, both = (statistics.median(rates[looks]) for looks in (False, True))
    return [
        ("segment alone", f"{alone:.0f} tiles/s"),
        ("segment while somebody scrolls", f"{both:.0f} tiles/s: {both / alone - 1:+.1%}"),
        ("the viewer's share of two cores then", f"{statistics.median(viewed_s) / 2:.1%}"),
    ]


SERVERS = {"hviskd": viewer, "deep zoom": deep_zoom}


def record(slide: Path) -> None:
    """Zoom and pan in Chromium by wheel and mouse, with a fixed seed, and write down which tiles the page asks for."""
    import random
    import shutil

    from playwright.sync_api import sync_playwright

    chance, path = random.Random(0), []  # noqa: S311 - not a secret
    still = "() => globalThis.hviskd?.panes.facts && hviskd.view.osd.world.getItemAt(0)?.getFullyLoaded()"
    with viewer(slide) as server, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        asked: list[str] = []
        page.on("request", lambda request: asked.extend(re.findall(r"/tiles/(\d+/\d+/\d+)", request.url)))
        page.goto(f"http://127.0.0.1:{server.port}/?token={server.cookie.partition('=')[2]}")
        box = page.locator("#picture").bounding_box()

        def place(least: float, most: float) -> tuple[float, float]:
            return tuple(box[at] + chance.uniform(least, most) * box[side] for at, side in SIDES)

        for number in range(MOVES + 1):
            page.mouse.move(*place(0.3, 0.7))
            # Closer, then along the tissue, and back out: as somebody does who looks for something.
            if number % 10 in (1, 2, 4, 7):
                for _ in range(5):
                    page.mouse.wheel(0, -100)
                    page.wait_for_timeout(60)
            elif number and number % 10 == 0:
                page.keyboard.press("0")
            elif number:
                page.mouse.down()
                page.mouse.move(*place(0.05, 0.95), steps=8)
                page.mouse.up()
            page.wait_for_timeout(500)
            page.wait_for_function(still)
            path.append(" ".join(asked))
            asked.clear()
    steps = [step for step in path if step]
    PATH.write_text(
        json.dumps({"slide_px": [WIDTH_PX, HEIGHT_PX], "window_px": [1280, 800], "steps": steps}, indent=1) + "\n"
    )
    print(f"{len(steps)} steps, {sum(len(step.split()) for step in steps)} tiles")


def render(rows: list[tuple[str, str]]) -> str:
    """Put the measurements into a Markdown table."""
    from hviskd.processor import cpu_name

    command = " ".join(["benchmarks/viewing.py", *sys.argv[1:]])
    return "\n".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d}, {cpu_name()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
            f"Python {platform.python_version()}, commit {commit(HERE)}: `{command}`",
            "",
            "| what | measured |",
            "|---|---|",
            *(f"| {what} | {measured} |" for what, measured in rows),
            "",
        ]
    )


MEASURES = {"tiles": tiles, "memory": memory, "first": first, "click": click, "beside": beside}

if __name__ == "__main__":
    main()
