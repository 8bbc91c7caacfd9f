"""What the viewer answers: slides as `open_slide` reads them, and a refusal to all that is hostile."""

import io
import re
import shutil
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import anyio
import numpy as np
import pytest
from PIL import Image
from starlette.exceptions import HTTPException

from hviskd.errors import DataError
from hviskd.slides import open_slide
from hviskd.viewer import OnSlides, listening, open_viewer
from hviskd.viewer.desk import Contents, Desk
from hviskd.viewer.drawings import Drawings
from hviskd.viewer.map_shelf import MapShelf
from hviskd.viewer.opinions import Opinions
from hviskd.viewer.shelf import OpenSlides, ShelfSlide
from hviskd.viewer.slide_pictures import SlidePictures, zoom_of
from tests.segmentation.make import write_model
from tests.slides.make import patterned, reduce_by, write_svs
from tests.viewer.asking import ask, page_file, port_of


def nothing():
    opened, maps = OpenSlides(), MapShelf(())
    return Contents({}, opened, maps, Drawings(None), Opinions(opened, maps, ()))


def test_the_slides_are_listed_by_name_and_nothing_tells_where_they_lie(viewer, keys, slides):
    assert sorted(keys) == ["broken.svs", "one.svs", "two.svs"]
    for target in ("/slides", *(f"/slides/{key}" for key in keys.values())):
        body = ask(viewer, target).body.decode()
        assert "secret-place" not in body
        assert str(slides) not in body


def test_the_facts_are_those_that_may_be_shown(viewer, keys, slides):
    facts = ask(viewer, f"/slides/{keys['one.svs']}").json
    with open_slide(slides / "one.svs") as slide:
        shown = slide.facts()
    assert {name: facts[name] for name in ("width_px", "height_px", "mpp", "vendor", "notes")} == {
        name: shown[name] for name in ("width_px", "height_px", "mpp", "vendor", "notes")
    }
    assert set(facts) == {*shown, "key", "name", "tile_px", "last_level", "maps", "drawn", "asks", "cut", "start"}


@pytest.mark.parametrize(
    ("level", "column", "row"), [(11, 0, 0), (11, 2, 3), (11, 5, 4), (10, 1, 1), (9, 0, 0), (8, 0, 0)]
)
def test_a_tile_shows_what_the_slide_has_there(viewer, keys, slides, level, column, row):
    answer = ask(viewer, f"/slides/{keys['one.svs']}/tiles/{level}/{column}/{row}")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/jpeg")
    tile = np.asarray(Image.open(io.BytesIO(answer.body))).astype(int)
    reduction = 2 ** (11 - level)
    with open_slide(slides / "one.svs") as slide:
        sides = (
            min(256, -(-whole // reduction) - 256 * at) for whole, at in zip(slide.size, (column, row), strict=True)
        )
        read = slide.read(256 * column * reduction, 256 * row * reduction, *sides, slide.mpp * reduction)
    assert tile.shape == read.shape
    assert np.abs(tile.mean(axis=-1) - read.mean(axis=-1)).mean() < 3  # what JPEG loses of the brightness


def test_a_thumbnail_is_small_and_of_a_damaged_slide_there_is_none(viewer, keys):
    picture = Image.open(io.BytesIO(ask(viewer, f"/slides/{keys['one.svs']}/thumbnail").body))
    assert picture.size == (256, 188)
    damaged = ask(viewer, f"/slides/{keys['broken.svs']}/thumbnail")
    assert (damaged.status, damaged.headers["content-type"]) == (200, "image/svg+xml")


def test_pictures_are_kept_by_the_browser_for_one_run_of_the_viewer(viewer, keys, slides):
    def kept(start):
        targets = (f"/slides/{keys['one.svs']}/{what}?start={start}" for what in ("thumbnail", "tiles/11/0/0"))
        return [ask(viewer, target).headers["cache-control"] for target in targets]

    start = ask(viewer, f"/slides/{keys['one.svs']}").json["start"]
    assert {slide["start"] for slide in ask(viewer, "/slides").json["slides"]} == {start}
    assert kept(start) == ["private, max-age=3600"] * 2
    with open_viewer(slides) as again:
        later = ask(again, f"/slides/{keys['one.svs']}").json["start"]
    assert later != start
    assert kept(later) == kept("") == ["no-store"] * 2


def test_files_of_the_page_are_kept_by_the_browser_and_named_at_once(viewer):
    text = ask(viewer, "/").body.decode()
    answer = ask(viewer, page_file(viewer, "main.js"))
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"  # another version, another name
    imported = set(re.findall(r'from "\./(\w+\.js)"', answer.body.decode()))
    assert imported
    for name in imported:
        assert f'<link rel="modulepreload" href="{page_file(viewer, name)}">' in text


def test_a_damaged_slide_is_told_and_the_others_are_shown(viewer, keys):
    facts = ask(viewer, f"/slides/{keys['broken.svs']}").json
    assert facts["problem"].startswith("broken.svs: damaged or not a slide")
    answer = ask(viewer, f"/slides/{keys['broken.svs']}/tiles/0/0/0")
    assert (answer.status, answer.json["problem"]) == (422, facts["problem"])


HOSTILE = [
    "/slides/..%2f..%2fetc%2fpasswd",
    "/slides/../../etc/passwd",
    "PAGE/..%2f__init__.py",
    "PAGE/%2e%2e/viewing.py",
    "PAGE/openseadragon/LICENSE.txt",
    "/page/main.js",
    "/slides/KEY/tiles/99999/0/0",
    "/slides/KEY/tiles/0/99999999999999999999999999/0",
    "/slides/KEY/tiles/-1/0/0",
    "/slides/KEY/tiles/1e3/0/0",
    "/slides/KEY/tiles/0/0/0/0",
    "/slides/" + "a" * 1500,
    "/%00",
    "/slides/%ff%fe",
    "//evil.example/slides",
    "/slides?" + "x" * 1900,
]


@pytest.mark.parametrize("target", HOSTILE)
def test_what_is_hostile_is_refused_without_a_word_of_the_disk(viewer, keys, target):
    page = page_file(viewer, "x").removesuffix("/x")
    answer = ask(viewer, target.replace("KEY", keys["one.svs"]).replace("PAGE", page))
    assert answer.status == 404 if "?" not in target else 200
    assert b"root:" not in answer.body
    assert b"Traceback" not in answer.body
    assert b"/work" not in answer.body


def test_an_address_beyond_all_measure_is_refused(viewer):
    assert ask(viewer, "/slides?" + "x" * 3000).status == 414
    assert ask(viewer, "/slides/" + "a" * 100_000).status in (400, 414)


def test_a_range_is_not_asked_for_here_and_changes_nothing(viewer, keys):
    target = f"/slides/{keys['one.svs']}/tiles/11/0/0"
    whole = ask(viewer, target)
    for wanted in ("bytes=0-999999999999999", "bytes=" + ",".join(["0-1"] * 1000), "lines=1-2"):
        assert ask(viewer, target, Range=wanted)[::2] == whole[::2]


def test_noise_instead_of_a_request_is_refused(viewer):
    for sent in (b"\0" * 100, b"GET / HTTP/9.9\r\n\r\n", b"GET /\r\n" * 50 + b"\r\n"):
        with socket.create_connection(("127.0.0.1", port_of(viewer)), timeout=10) as client:
            client.sendall(sent)
            assert client.recv(12)[:10] == b"HTTP/1.1 4"


@pytest.mark.slow
def test_hundreds_at_once_are_served_or_told_to_wait_and_the_viewer_lives(viewer, keys):
    target = f"/slides/{keys['one.svs']}/tiles/11/1/1"
    idle = [socket.create_connection(("127.0.0.1", port_of(viewer)), timeout=10) for _ in range(300)]

    def once(_number):
        try:
            return ask(viewer, target).status
        except ConnectionError:
            return 0

    with ThreadPoolExecutor(16) as pool:
        seen = set(pool.map(once, range(100)))
    for client in idle:
        client.close()
    assert seen <= {0, 200, 503}
    for _ in range(50):
        if once(0) == 200:
            break
    assert ask(viewer, target).status == 200


@pytest.mark.slow
def test_thousands_at_once_end_in_refusals_and_the_viewer_lives(viewer, keys):
    """Twice as many connections as are listened to, each with a request, until 3,000 were made."""
    resource = pytest.importorskip("resource")
    target = f"/slides/{keys['one.svs']}/tiles/11/2/2"
    head = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port_of(viewer)}\r\n"
    cookie = f"Cookie: hviskd-{port_of(viewer)}={viewer.address.partition('token=')[2]}\r\n\r\n"
    seen: Counter[str] = Counter()
    most = 2 * listening._MOST_CONNECTIONS

    async def one(turns):
        said = "closed"
        async with turns:
            with suppress(OSError, anyio.BrokenResourceError, anyio.EndOfStream), anyio.fail_after(30):
                async with await anyio.connect_tcp("127.0.0.1", port_of(viewer)) as client:
                    await client.send((head + cookie).encode())
                    said = (await client.receive(12)).decode()[-3:]
        seen[said] += 1

    async def all_of_them():
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        turns = anyio.Semaphore(min(most, soft - 700))
        async with anyio.create_task_group() as group:
            for _ in range(3_000):
                group.start_soon(one, turns)

    with ThreadPoolExecutor() as pool:  # a test of a page holds this one's loop
        pool.submit(anyio.run, all_of_them).result(timeout=240)
    assert set(seen) <= {"200", "503", "closed"}
    assert seen.total() == 3_000
    assert seen["200"] + seen["503"] > 0  # which of the two depends on how many come at a time
    assert ask(viewer, target).status == 200


def test_more_connections_than_are_listened_to_are_closed_at_once(viewer, monkeypatch):
    monkeypatch.setattr("hviskd.viewer.listening._MOST_CONNECTIONS", 20)
    clients = [socket.create_connection(("127.0.0.1", port_of(viewer)), timeout=5) for _ in range(60)]
    assert b"".join(client.recv(1) for client in clients[40:]) == b""
    for client in clients:
        client.close()


def test_who_has_left_is_not_worked_for():
    class Left:
        async def is_disconnected(self):
            return True

    desk = Desk(nothing(), str)
    with (
        ThreadPoolExecutor() as pool,
        pytest.raises(HTTPException) as refused,
    ):  # a test of a page holds this one's loop
        pool.submit(anyio.run, desk.done, Left(), lambda: pytest.fail("worked")).result()
    assert (refused.value.status_code, refused.value.detail) == (499, "the client has left")


def test_each_queue_has_threads_of_its_own_and_models_have_one():
    """Every thread that computes keeps memory for it: ten clients took 40 MiB more when any thread did."""

    class There:
        async def is_disconnected(self):
            return False

    desk, threads = Desk(nothing(), str), {"quick": set(), "long": set(), "models": set()}

    def work(queue):
        time.sleep(0.002)
        threads[queue].add(threading.get_ident())

    async def many():
        async with anyio.create_task_group() as group:
            for queue in 10 * list(threads):
                group.start_soon(desk.done, There(), partial(work, queue), queue)

    with ThreadPoolExecutor() as pool:
        pool.submit(anyio.run, many).result()
    desk.close()
    assert len(threads["long"]) == len(threads["models"]) == 1
    assert len(set.union(*threads.values())) == sum(map(len, threads.values()))


def test_maps_are_looked_for_in_threads_so_that_no_other_answer_waits(mapped, mapped_keys, monkeypatch):
    real, looked = MapShelf.of, []

    def of(self, slide):
        looked.append(threading.current_thread().name)
        return real(self, slide)

    monkeypatch.setattr(MapShelf, "of", of)
    key = mapped_keys["A.svs"]
    for what in ("", "/outlines", "/least-sure/0", "/layers/0-top", "/layers/0-top/0/0/0", "/at?x=500&y=350"):
        looked.clear()
        assert ask(mapped, f"/slides/{key}{what}").status == 200
        assert looked or "layers" in what  # which may be kept
        assert all(name.startswith(("hviskd quick", "hviskd long", "hviskd models")) for name in looked)


def test_tiles_are_kept_within_a_set_memory(slides):
    opened = OpenSlides()
    which = ShelfSlide("0", slides / "one.svs")
    pictures = SlidePictures(opened, cache_bytes=100_000)
    made = [(pictures.tile(which, 11, column, row), column, row) for column in range(6) for row in range(5)]
    kept = [pictures.kept(which, 11, column, row) for _, column, row in made]
    assert sum(len(one) for one in kept if one) <= 100_000
    assert kept[-1] == made[-1][0]
    assert kept[0] is None
    opened.close()


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A viewer on a slide in JPEG tiles of 240 px with levels 1, 1/4 and 1/16, as many archives hold them."""
    path = tmp_path_factory.mktemp("stored") / "slide.svs"
    write_svs(path, patterned(2500, 1900, seed=4, grain_px=100), tile=240, factor=4, levels=3)
    with open_viewer(path) as viewer:
        (row,) = ask(viewer, "/slides").json["slides"]
        yield viewer, f"/slides/{row['key']}", path


@pytest.mark.slow
def test_the_file_s_own_tiles_are_handed_out_where_they_fit(stored):
    viewer, target, path = stored
    facts = ask(viewer, target).json
    assert (facts["tile_px"], facts["last_level"]) == (240, 12)
    with open_slide(path) as slide:
        for level, number in ((12, 0), (10, 1)):
            assert ask(viewer, f"{target}/tiles/{level}/1/0").body == slide.jpeg_tile(number, 1, 0)
        right = np.asarray(Image.open(io.BytesIO(ask(viewer, f"{target}/tiles/12/10/1").body))).astype(int)
        read = slide.read(2400, 240, 100, 240)
    assert right.shape == read.shape
    assert np.abs(right.mean(axis=-1) - read.mean(axis=-1)).mean() < 3


@pytest.mark.parametrize("level", range(6, 12))
def test_levels_between_those_of_the_file_meet_and_show_the_slide(stored, level):
    viewer, target, path = stored
    with open_slide(path) as slide:
        width, height = zoom_of(slide).size(level)
        means = reduce_by(slide.read(0, 0, *slide.size), 2 ** (12 - level)).mean(axis=-1)
    whole = np.zeros((height, width, 3), np.uint8)
    for top in range(0, height, 240):
        for left in range(0, width, 240):
            tile = ask(viewer, f"{target}/tiles/{level}/{left // 240}/{top // 240}")
            whole[top : top + 240, left : left + 240] = Image.open(io.BytesIO(tile.body))
    shown = whole.mean(axis=-1)[: means.shape[0], : means.shape[1]]
    away, away_if_shifted = (np.abs(shown[by:, by:] - means[: len(means) - by, : means.shape[1] - by]) for by in (0, 1))
    assert away.mean() < 4
    assert level > 9 or away_if_shifted.mean() > 2 * away.mean()  # at the last levels neighbours are alike


def test_a_port_that_is_taken_or_none_is_told(viewer, slides):
    with pytest.raises(DataError, match=rf"`port={port_of(viewer)}`: cannot be used .*; choose another"):
        open_viewer(slides, port=port_of(viewer))
    for port in (-1, 65_536):
        with pytest.raises(DataError, match=f"`port={port}`: must be from 1 to 65,535"):
            open_viewer(slides, port=port)


def test_closed_it_answers_no_more(slides):
    with open_viewer(slides / "one.svs") as running:
        assert ask(running, "/slides").status == 200
    with pytest.raises(ConnectionError):
        ask(running, "/slides")


@pytest.fixture(scope="class")
def troubled(cohort, tmp_path_factory):
    """A viewer on a damaged map, a slide that failed on another computer, and a Model that is damaged while it runs."""
    folder = tmp_path_factory.mktemp("secret-place")
    shutil.copytree(cohort / "kd", folder / "kd")
    (folder / "kd" / "A" / "summary.json").write_text("{")
    shutil.rmtree(folder / "kd" / "B")
    (folder / "kd" / "slides.csv").write_text(
        "slide,folder,state,problem\nC.svs,C,failed,/home/Secret Person/a:b/C.svs: too coarse; see `mpp=1`\n"
    )
    write_model(folder / "student")
    shown = OnSlides((folder / "kd",), models=(folder / "student",))
    with open_viewer(cohort / "slides", shown, spell=lambda said: said.replace("`mpp=1`", "--mpp 1")) as viewer:
        (folder / "student" / "weights.safetensors").write_text("damaged")
        yield viewer


class TestProblemsTellNothingOfWhereFilesLie:
    def test_of_a_map_that_cannot_be_read(self, troubled):
        (note,) = ask(troubled, "/slides").json["notes"]
        assert note.startswith("kd/A/summary.json: ")
        assert "secret-place" not in note

    def test_of_a_slide_that_failed_on_another_computer(self, troubled):
        problems = {row["name"]: row["problem"] for row in ask(troubled, "/slides").json["slides"]}
        assert problems["C.svs"] == "C.svs: too coarse; see --mpp 1"

    @pytest.mark.slow
    def test_of_a_damaged_model(self, troubled):
        answer = ask(troubled, "/models")
        assert answer.status == 422
        assert answer.json["problem"].startswith("student")
        assert "secret-place" not in answer.json["problem"]

    @pytest.mark.parametrize(
        ("said", "shown"),
        [
            ("/a/b/C.svs: damaged", "C.svs: damaged"),
            ("cannot read '/a/my slides/C.svs' and /b/D.svs", "cannot read 'C.svs' and D.svs"),
            (r"C:\Users\me\slides\C.svs: at 2 µm/px", "C.svs: at 2 µm/px"),
            (r"\\server\share\C.svs: damaged", "C.svs: damaged"),
            ("//server/share/C.svs: damaged", "C.svs: damaged"),
            (
                "`slide=/a/b/C.svs`: 1 / 2 of it; and/or A/summary.json",
                "`slide=C.svs`: 1 / 2 of it; and/or A/summary.json",
            ),
        ],
    )
    def test_of_whatever_has_an_absolute_path(self, said, shown):
        assert Desk(nothing(), str).worded(said) == shown
