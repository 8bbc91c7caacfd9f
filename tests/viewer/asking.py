"""Asks a running viewer over a real connection, as a browser does or as someone does who means harm."""

import http.client
import json
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from hviskd.viewer import Viewer


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


def ask(viewer: Viewer, target: str, *, method="GET", cookie=True, body=None, **headers: str) -> Answer:
    """Send one request; names of headers are written with underscores, and `cookie` sends the one that is right."""
    parts = urlsplit(viewer.address)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if cookie:
        sent["Cookie"] = f"hviskd-{parts.port}={parts.query.removeprefix('token=')}"
    connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=20)
    try:
        connection.request(method, target, body, sent)
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def page_file(viewer: Viewer, name: str) -> str:
    """Return where a file of the page is, which the page names by its version."""
    version = re.search(r"/page/(\w+)/main.js", ask(viewer, "/").body.decode())
    assert version
    return f"/page/{version[1]}/{name}"


def port_of(viewer: Viewer) -> int:
    port = urlsplit(viewer.address).port
    assert port is not None
    return port


def post(viewer: Viewer, target: str, content: object, **headers: str | None) -> Answer:
    """Send JSON, or bytes as they are, as the viewer's page does; a header that is None is left out."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    sent: dict[str, str | None] = {
        "Origin": f"http://127.0.0.1:{port_of(viewer)}",
        "Content_Type": "application/json",
        "X_Hviskd_Token": ask(viewer, "/write-token").json["token"],
        **headers,
    }
    kept = {name: value for name, value in sent.items() if value is not None}
    return ask(viewer, target, method="POST", cookie="Cookie" not in kept, body=body, **kept)
