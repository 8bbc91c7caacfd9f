"""What the viewer tells of `segment` at work: the map that fills, rows as they change, a run from the page, its end."""

import gzip
import http.client
import json
import shutil
import threading
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import numpy as np
import pytest

from hviskd.claims import Claims
from hviskd.models import Compute
from hviskd.segmentation import MapSettings, live_file, load_slide_map, segment_cohort
from hviskd.segmentation.mapping_job import CLAIMS
from hviskd.slides import CohortSlide
from hviskd.viewer import OnSlides, open_viewer
from hviskd.viewer.at_work import AtWork
from hviskd.viewer.live_answers import changes
from hviskd.viewer.map_shelf import MapShelf
from hviskd.viewer.shelf import put_up
from tests.processes import start
from tests.segmentation.make import CLASSES, COLOURS, tissue_on_glass, write_model, write_slide
from tests.viewer.asking import ask, post


@pytest.fixture(autouse=True)
def told_soon(monkeypatch):
    """A viewer looks five times a second what is going on, not once."""
    monkeypatch.setattr("hviskd.viewer.live_answers._STEP_S", 0.05)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "student").folder


@pytest.fixture
def cohort(tmp_path):
    """Two slides, and one between them that is cut off in the middle."""
    paths = [
        write_slide(tmp_path / "slides" / f"{name}.svs", tissue_on_glass(800, 600, seed=ord(name))) for name in "ABC"
    ]
    paths[1].write_bytes(paths[1].read_bytes()[:20_000])
    (tmp_path / "maps").mkdir()
    return tmp_path


def segment_slowly(model, slides, maps, go):
    live_file._EVERY_S = live_file._REST = 0.0

    def wait(done, total, _what):
        while not go.exists() and done > total // 3:
            time.sleep(0.05)

    compute = Compute("torch", threads=1, workers=1, batch_size=8)
    segment_cohort(model, slides, maps, settings=MapSettings(write=()), compute=compute, progress=wait)


@contextmanager
def segmenting(model, folder):
    """Run another process that stops in the middle of the first slide; yields what lets it go on."""
    go = folder / "go"
    process = start(segment_slowly, model, folder / "slides", folder / "maps", go)
    try:
        yield lambda: (go.touch(), process.join(120))
    finally:
        process.kill()
        process.join()


@contextmanager
def listening(viewer):
    """Yield a function that hears events until what is told by then is as wanted, and returns it."""
    parts = urlsplit(viewer.address)
    headers = {"Cookie": f"hviskd-{parts.port}={parts.query.removeprefix('token=')}"}
    connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=90)
    connection.request("GET", "/live", headers=headers)
    answer = connection.getresponse()
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")

    told = {"rows": {}, "now": {}}

    def until(wanted):
        kind, end = "", time.monotonic() + 90
        while line := answer.readline().decode():
            assert time.monotonic() < end
            if line.startswith("event: "):
                kind = line.removeprefix("event: ").strip()
            elif line.startswith("data: "):
                changed = json.loads(line.removeprefix("data: "))
                for name in ("rows", "now"):
                    told[name] |= changed.pop(name, {})
                    told[name] = {key: value for key, value in told[name].items() if value is not None}
                told.update(changed)
                if wanted(kind, told):
                    return told
        return pytest.fail("the stream ended")

    yield until
    connection.close()


def test_only_what_changes_is_told():
    waiting, working = ({"state": state, "problem": ""} for state in ("waiting", "working"))
    first = {"maps": 0, "rows": {"a": waiting, "b": waiting}, "now": {}, "models": []}
    later = {"maps": 0, "rows": {"a": working, "b": waiting}, "now": {"a": {"done": 3}}, "models": []}
    end = {"maps": 1, "rows": {}, "now": {}, "models": []}
    assert changes({}, first) == {"maps": 0, "rows": first["rows"], "models": []}
    assert changes(first, later) == {"rows": {"a": working}, "now": {"a": {"done": 3}}}
    assert changes(later, end) == {"maps": 1, "rows": {"a": None, "b": None}, "now": {"a": None}}
    assert changes(end, end) == {}


@pytest.mark.slow
def test_a_map_that_fills_is_told_and_shown_and_ends_as_a_map_like_any_other(model, cohort, look):
    with segmenting(model, cohort) as go_on, open_viewer(cohort / "slides", OnSlides((cohort / "maps",))) as viewer:
        keys = {row["name"]: row["key"] for row in ask(viewer, "/slides").json["slides"]}
        opened = look(viewer.address)
        with listening(viewer) as until:
            now, cells = told_as_it_fills(viewer, keys, until)
            shown_as_it_fills(viewer, opened)
            go_on()
            until(lambda _, told: not told["rows"])
        final = load_slide_map(cohort / "maps" / "A").class_grid()
        assert now["done"] <= (cells != 255).sum() < (final != 255).sum()
        assert np.array_equal(cells[cells != 255], final[cells != 255])
        rows = {row["name"]: row for row in ask(viewer, "/slides").json["slides"]}
        assert [len(rows[name]["maps"]) for name in ("A.svs", "B.svs", "C.svs")] == [1, 0, 1]
        assert rows["B.svs"]["problem"].startswith("B.svs: damaged")
        assert ask(viewer, f"/slides/{keys['A.svs']}/layers/0-classes").status == 200
        shown_as_any_other(opened)
        opened.page.close()


def told_as_it_fills(viewer, keys, until):
    told = until(lambda _, told: told["now"].get(keys["A.svs"], {}).get("done"))
    states = {name: told["rows"][key]["state"] for name, key in keys.items()}
    assert states["A.svs"] == "working"
    assert states["C.svs"] == "waiting"
    now = told["now"][keys["A.svs"]]
    assert (now["model"], now["classes"]) == ("student", list(CLASSES))
    assert 0 < now["done"] < now["tiles"]
    assert now["tiles_per_s"] > 0
    answer = ask(viewer, f"/slides/{keys['A.svs']}/live")
    cells = np.frombuffer(gzip.decompress(answer.body), np.uint8).reshape(now["rows"], now["columns"])
    assert ask(viewer, f"/slides/{keys['C.svs']}/live").status == 404
    return now, cells


def shown_as_it_fills(viewer, opened):
    page = opened.page
    page.wait_for_function("() => hviskd.live?.picture?.canvas && hviskd.live.picture.done > 24", timeout=60_000)
    assert page.inner_text("#live-title") == "Being mapped by student"
    assert "tiles/s" in page.inner_text("#live-told")
    states = page.locator("#slide-list .state").all_inner_texts()
    assert states[0].startswith("being mapped: ")
    assert states[2] == "waiting to be mapped"
    assert page.locator("#legend-section").is_hidden()
    painted, cells = opened.overlay(), live_cells(viewer, opened)
    step, left, top = opened.place()
    cell = page.evaluate("hviskd.live.picture.cellPx")
    for row, column in np.ndindex(cells.shape):
        across, down = (((at + 0.5) * cell - edge) / step for at, edge in ((column, left), (row, top)))
        colour = painted[round(down), round(across)]
        assert (colour[3] > 0) == (cells[row, column] != 255)
        if colour[3]:
            assert np.abs(colour[:3].astype(int) - COLOURS[cells[row, column]]).max() <= 3
    page.uncheck("#live-shown")
    opened.drawn_anew()
    assert not opened.overlay()[..., 3].any()


def shown_as_any_other(opened):
    page = opened.page
    page.wait_for_function("() => hviskd.panes.facts.maps.length && !Object.keys(hviskd.live.told.rows).length")
    opened.settled()
    assert page.locator("#live-section").is_hidden()
    assert page.inner_text("#legend-title") == "Map by student"
    assert page.locator("#tool-region").is_enabled()
    assert page.locator("#slide-list .state").all_inner_texts() == ["", "", ""]
    assert page.locator("#slide-list .warn").all_inner_texts()[0].startswith("failed: B.svs: damaged")
    assert opened.overlay()[..., 3].any()


@pytest.mark.slow
def test_slides_without_a_map_are_mapped_by_a_button_as_by_the_command_and_cancelled_by_another(model, cohort, look):
    shown = OnSlides((cohort / "new",), models=(model,))  # a folder that is not there yet
    with open_viewer(cohort / "slides", shown) as viewer, listening(viewer) as until:
        assert until(lambda *_: True)["models"] == [{"name": "student", "slides": 3}]
        page = look(viewer.address).page
        with Claims(cohort / "new" / CLAIMS) as elsewhere:  # no slide is mapped before it is cancelled
            assert elsewhere.take("A")
            assert elsewhere.take("C")
            page.get_by_role("button", name="Map 3 slides with student").click()
            page.get_by_role("button", name="Cancel mapping").click()
            page.get_by_role("button", name="Map 3 slides with student").wait_for(timeout=30_000)
        page.get_by_role("button", name="Map 3 slides with student").click()
        page.wait_for_function(
            "() => document.getElementById('segment-told').textContent.startsWith('Mapping with student')"
        )
        again = post(viewer, "/segment", {"model": "student"})
        assert (again.status, "already" in again.json["problem"]) == (409, True)
        ended = until(lambda _, told: told["models"][0]["slides"] == 1 and not told["job"]["model"])
        assert ended["job"]["problem"] == ""
        page.get_by_role("button", name="Map 1 slide with student").wait_for(timeout=90_000)
        assert page.inner_text("#legend-title") == "Map by student"
        assert len(page.locator("#slide-list .bar").all()) == 2
        rows = {row["name"]: row for row in ask(viewer, "/slides").json["slides"]}
        assert [len(rows[name]["maps"]) for name in ("A.svs", "B.svs", "C.svs")] == [1, 0, 1]
        page.close()
    segment_cohort(model, cohort / "slides" / "A.svs", cohort / "by-hand", settings=MapSettings(write=()))
    one, other = (load_slide_map(cohort / place / "A") for place in ("new", "by-hand"))
    assert np.array_equal(one.class_index, other.class_index)


@pytest.mark.slow
def test_it_is_cancelled_and_ends_with_the_viewer(model, cohort):
    shown = OnSlides((cohort / "maps",), models=(model,))
    for cancel in (lambda viewer: post(viewer, "/segment/cancel", {}), lambda viewer: viewer.close()):
        with open_viewer(cohort / "slides", shown) as viewer:
            started = {"model": "student", "problem": "", "started": 1}
            assert post(viewer, "/segment", {"model": "student"}).json == started
            process = viewer._answers._live._job._running.process
            began = time.monotonic()
            cancel(viewer)
            assert process.poll() is not None
            assert time.monotonic() - began < 25
        assert not list((cohort / "maps").glob(".progress-*"))


def test_one_that_heeds_no_interrupt_is_killed_and_told_of_no_more(model, cohort, monkeypatch):
    monkeypatch.setattr("hviskd.viewer.segment_job._END_S", 0.0)
    with open_viewer(cohort / "slides", OnSlides((cohort / "maps",), models=(model,))) as viewer:
        post(viewer, "/segment", {"model": "student"})
        post(viewer, "/segment/cancel", {})
        assert viewer._answers._live._job.told() == {"model": None, "problem": "", "started": 1}


@pytest.mark.slow
def test_why_it_ended_is_told(model, cohort):
    shutil.copytree(model, cohort / "damaged")
    with open_viewer(cohort / "slides", OnSlides((cohort / "maps",), models=(cohort / "damaged",))) as viewer:
        (cohort / "damaged" / "model.json").write_text("{")
        with listening(viewer) as until:
            post(viewer, "/segment", {"model": "student"})
            problem = until(lambda _, told: told["job"]["problem"])["job"]["problem"]
    assert problem.startswith("damaged/model.json")


@pytest.mark.parametrize("sent", [{"model": "another"}, {}, {"model": "student", "slides": ["../x"]}, []])
def test_what_makes_no_sense_starts_nothing(model, cohort, sent):
    with open_viewer(cohort / "slides", OnSlides((cohort / "maps",), models=(model,))) as viewer:
        assert post(viewer, "/segment", sent).status in (409, 422)
        assert ask(viewer, "/segment").status == 405
        assert post(viewer, "/segment", {"model": "student"}, X_Hviskd_Token=None).status == 403
        assert viewer._answers._live._job.told()["model"] is None


def test_who_listens_is_told_of_the_end_and_too_many_are_refused(cohort, monkeypatch):
    monkeypatch.setattr("hviskd.viewer.live_answers._MOST_LISTENERS", 1)
    monkeypatch.setattr("hviskd.viewer.listening._CLOSE_S", 60)  # in which a connection is waited for
    viewer = open_viewer(cohort / "slides", OnSlides((cohort / "maps",)))
    with listening(viewer) as until:
        until(lambda *_: True)
        assert ask(viewer, "/live").status == 503
        began = time.monotonic()
        ending = threading.Thread(target=viewer.close)
        ending.start()
        until(lambda kind, _: kind == "end")
        ending.join()
        assert time.monotonic() - began < 30


def live_cells(viewer, opened):
    key = opened.evaluate("hviskd.panes.facts.key")
    now = opened.evaluate(f"hviskd.live.told.now['{key}']")
    answer = ask(viewer, f"/slides/{key}/live")
    return np.frombuffer(gzip.decompress(answer.body), np.uint8).reshape(now["rows"], now["columns"])


def test_what_a_killed_process_left_is_not_believed(cohort):
    maps = MapShelf([cohort / "maps"])
    shelf = put_up([CohortSlide(cohort / "slides" / "A.svs")])
    (cohort / "maps" / ".progress-x-1-1.json").write_text(
        json.dumps(
            {
                "model": "m",
                "classes": ["a"],
                "colours": [[0, 0, 0]],
                "slides": [{"slide": "A.svs", "place": next(iter(shelf)), "folder": "A"}],
            }
        )
    )
    assert AtWork(shelf, maps).look().rows == {}
    with Claims(cohort / "maps" / CLAIMS) as claims:
        claims.take(".progress-x-1-1.json")
        assert AtWork(shelf, maps).look().rows == {next(iter(shelf)): {"state": "waiting", "problem": ""}}
