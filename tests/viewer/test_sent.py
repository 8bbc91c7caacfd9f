"""What is sent to be saved: JSON of a set size and shape, that comes in a set time."""

import json
import socket
from contextlib import contextmanager

import pytest
from pydantic import BaseModel, ConfigDict
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.routing import Route

from hviskd.viewer.listening import Listener, bind
from hviskd.viewer.sent import LARGEST_BYTES, Inbox


class Sent(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    places: list[float]


@contextmanager
def taking(**patience):
    """Yield the port of a server that takes what is sent."""
    inbox = Inbox(**patience)

    async def take(request):
        return JSONResponse((await inbox.read(request, Sent)).places)

    async def refuse(_request, error):
        return JSONResponse({"problem": error.detail}, error.status_code)

    app = Starlette(routes=[Route("/", take, methods=["POST"])], exception_handlers={HTTPException: refuse})
    bound = bind(0)
    running = Listener(app, bound)
    yield bound.getsockname()[1]
    running.close()


@pytest.fixture(scope="module")
def port():
    with taking() as port:
        yield port


def talk(port, body, *, stated=None, kind="application/json"):
    """Send a request whose length may be stated wrongly, and return status and answer."""
    length = f"Content-Length: {len(body) if stated is None else stated}\r\n" if stated != "" else ""
    head = f"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\n{length}\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(head.encode() + body)
        answer = b"".join(iter(lambda: client.recv(2**16), b""))
    top, _, said = answer.partition(b"\r\n\r\n")
    return int(top.split()[1]), said.decode()


def test_what_fits_is_taken(port):
    assert talk(port, b'{"places": [1, 2.5]}') == (200, "[1.0,2.5]")
    assert talk(port, b'{"places": []}', kind="application/json; charset=utf-8")[0] == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "Invalid JSON"),
        (b"{", "Invalid JSON"),
        (b"\xff\xfe", "Invalid JSON"),
        (b'{"places": [NaN]}', "places.0: Input should be a finite number"),
        (b'{"places": [-Infinity]}', "places.0: Input should be a finite number"),
        (b'{"places": [1e999]}', "places.0: Input should be a finite number"),
        (b'{"places": ["x"]}', "places.0: Input should be a valid number"),
        (b'{"places": [1], "more": 1}', "more: unknown key"),
        (b'{"places":' + b"[" * 100_000, "Invalid JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "Invalid JSON"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(port, body, words):
    status, said = talk(port, body)
    problem = json.loads(said)["problem"]
    assert status == 422
    assert words in problem
    assert len(problem) < 320
    assert "\n" not in problem


def test_forms_of_other_pages_are_no_json(port):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        assert talk(port, b'{"places": []}', kind=kind)[0] == 415


@pytest.mark.parametrize("stated", [LARGEST_BYTES + 1, 10**30, "", "-1", "+5"])
def test_what_is_huge_or_of_unknown_size_is_not_read(port, stated):
    assert talk(port, b"", stated=stated)[0] in (400, 413)


def test_a_body_that_does_not_come_is_not_waited_for():
    with taking(patience_s=0.1) as port:
        status, said = talk(port, b'{"pla', stated=100)
    assert (status, json.loads(said)["problem"]) == (408, "not sent within 0.1 s")
