"""The viewer from Python, and inside a notebook's page on this computer."""

import functools
import http.server
import re
import threading

import pytest

import hviskd
from hviskd.annotations import load_legend
from hviskd.slides import find_cohort
from tests.segmentation.make import write_model
from tests.viewer.asking import ask


def test_it_takes_one_or_several_of_everything(cohort, tmp_path):
    model = write_model(tmp_path / "student")
    for maps, models in (
        (cohort / "kd", model),
        (str(cohort / "kd"), tmp_path / "student"),
        ([cohort / "kd"], [model]),
    ):
        with hviskd.view(cohort / "slides", maps=maps, models=models, annotations=str(cohort / "drawn")) as viewer:
            rows = ask(viewer, "/slides").json["slides"]
            assert [len(row["maps"]) for row in rows] == [1, 1, 0]
            assert rows[0]["drawn"]
            assert ask(viewer, f"/slides/{rows[0]['key']}").json["asks"]
    with hviskd.view(find_cohort(cohort / "slides")) as viewer:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=\S{43}", viewer.address)
    with hviskd.view(cohort / "slides", legend=load_legend("ivygap")) as viewer:
        (one, *_) = ask(viewer, "/slides").json["slides"]
        offered = [each["name"] for each in ask(viewer, f"/slides/{one['key']}/drawing").json["classes"]]
        assert offered == list(load_legend("ivygap").names)


@pytest.fixture
def notebook(tmp_path):
    """Serve pages at another port of this computer, as Jupyter does."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=tmp_path))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield lambda name: f"http://{name}:{server.server_port}/notebook.html"
    server.shutdown()
    server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_notebook_shows_the_page_inline_and_holds_no_lasting_token(mapped, cohort, notebook, tmp_path, window, name):
    with hviskd.view(cohort / "slides", maps=cohort / "kd") as viewer:
        shown = viewer._repr_html_()
        assert viewer.address.partition("token=")[2] not in shown
        (tmp_path / "notebook.html").write_text(
            f"<!doctype html><title>notebook</title><link rel='icon' href='data:,'>{shown}"
        )
        page = window.new_page()
        complaints = []
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(notebook(name))
        inside = page.frame_locator("iframe")
        inside.locator("#told", has_text="A.svs is open").wait_for(timeout=20_000)
        inside.locator("#legend button").first.wait_for()
        assert complaints == []
        page.close()


@pytest.mark.slow
def test_another_page_cannot_frame_it_even_then(cohort, notebook, tmp_path, window):
    with hviskd.view(cohort / "slides") as viewer:
        viewer._repr_html_()
        policy = ask(viewer, "/").headers["content-security-policy"]
        assert policy.endswith("frame-ancestors http://127.0.0.1:* http://localhost:*")
        assert ask(viewer, "/slides", Sec_Fetch_Site="same-site", Sec_Fetch_Dest="iframe").status == 403
        assert ask(viewer, "/", Sec_Fetch_Site="same-site", Sec_Fetch_Dest="image").status == 403
        assert ask(viewer, "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Dest="iframe").status == 403
        (tmp_path / "evil.html").write_text(f"<iframe src='{viewer.address}'></iframe>")
        page = window.new_page()
        page.goto((tmp_path / "evil.html").as_uri())
        page.wait_for_timeout(500)
        assert not any(frame.query_selector("#stage") for frame in page.frames)
        page.close()
