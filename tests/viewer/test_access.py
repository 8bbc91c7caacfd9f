"""Who may ask the viewer: the browser of its user, on this computer; and its own page alone, to write."""

import asyncio
import http.client
import logging
import socket
import time
import webbrowser
from urllib.parse import urlsplit

import pytest

from hviskd.errors import DataError
from hviskd.viewer import open_viewer
from hviskd.viewer.access import Access, Guard
from hviskd.viewer.listening import Listener, bind
from tests.processes import wait_until
from tests.viewer.asking import ask, page_file, port_of, post


def test_the_address_gives_a_cookie_and_takes_the_token_out_of_sight(viewer):
    target = viewer.address.partition(str(port_of(viewer)))[2]
    answer = ask(viewer, f"{target}&slide=1", cookie=False)
    assert (answer.status, answer.headers["location"]) == (303, "/?slide=1")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"hviskd-{port_of(viewer)}=")
    assert "httponly" in cookie.lower()
    assert "samesite=strict" in cookie.lower()


def test_the_browser_s_command_line_holds_an_address_that_opens_once(viewer, monkeypatch):
    started = []
    monkeypatch.setattr(webbrowser, "open", lambda address: started.append(address) or True)
    assert viewer.show()
    (address,) = started
    lasting = urlsplit(viewer.address).query.removeprefix("token=")
    assert lasting not in address
    target = address.partition(str(port_of(viewer)))[2]
    first = ask(viewer, target, cookie=False)
    assert (first.status, first.headers["location"]) == (303, "/")
    assert f"={lasting};" in first.headers["set-cookie"]
    again = ask(viewer, target, cookie=False)
    assert again.status == 403
    assert "set-cookie" not in again.headers
    assert ask(viewer, target).status == 303  # the browser that was let in, when its history opens it again


def test_an_address_for_once_is_void_when_no_browser_took_it_or_a_later_one_is_there(viewer, monkeypatch):
    started = []
    for found in (True, True, False):
        monkeypatch.setattr(webbrowser, "open", lambda address, found=found: started.append(address) or found)
        assert viewer.show() == found
    for address in started:
        assert ask(viewer, address.partition(str(port_of(viewer)))[2], cookie=False).status == 403
    assert ask(viewer, viewer.address.partition(str(port_of(viewer)))[2], cookie=False).status == 303


def test_a_tunnel_with_another_port_is_told_what_to_do(viewer):
    port = port_of(viewer)
    said = ask(viewer, "/slides", Host=f"127.0.0.1:{port + 1}").body.decode()
    assert f"open http://127.0.0.1:{port}; a tunnel must use the same port, {port}, on both sides" in said


@pytest.mark.parametrize("target", ["/", "/slides", "main.js", "/slides/0/tiles/0/0/0", "/?token=", "/?token=%ff"])
def test_without_the_token_nothing_is_shown(viewer, target):
    answer = ask(viewer, target if target.startswith("/") else page_file(viewer, target), cookie=False)
    assert answer.status == 403
    assert b"svs" not in answer.body
    assert b"token" in answer.body


def test_a_wrong_cookie_opens_nothing(viewer):
    name = f"hviskd-{port_of(viewer)}"
    for cookie in (f"{name}=x", f"{name}=", "other=1", "=;;;", f'{name}="\\377"', "\xe9=\xe9"):
        assert ask(viewer, "/slides", cookie=False, Cookie=cookie).status == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1"}, 421),
        ({"Host": "127.0.0.1:1"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
    ],
)
def test_other_names_and_other_pages_are_refused_even_with_the_cookie(viewer, headers, status):
    assert ask(viewer, "/slides", **headers).status == status


def test_the_page_s_own_requests_pass_under_both_names_of_this_computer(viewer):
    for host in ("127.0.0.1", "localhost"):
        name = f"{host}:{port_of(viewer)}"
        headers = {"Host": name, "Origin": f"http://{name}", "Sec_Fetch_Site": "same-origin"}
        assert ask(viewer, "/slides", **headers).status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "SHUTDOWN"])
def test_it_can_only_be_read_and_saved(viewer, method):
    answer = ask(viewer, "/slides", method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, POST")


def test_what_is_only_for_reading_cannot_be_written(viewer):
    for target in ("/", "/slides", "/write-token", page_file(viewer, "main.js")):
        assert post(viewer, target, {}).status in (404, 405)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X_Hviskd_Token": ""}, 403),
        ({"X_Hviskd_Token": "x" * 43}, 403),
        ({"X_Hviskd_Token": "\xe9"}, 403),
        ({"Origin": None}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Cookie": "other=1"}, 403),
    ],
)
def test_only_the_viewer_s_page_may_write(viewer, headers, status):
    answer = post(viewer, "/nothing-here", {}, **headers)
    assert answer.status == status
    assert answer.body.startswith(b"hviskd: ")
    assert post(viewer, "/nothing-here", {}).status == 404  # let in


def test_the_address_s_token_does_not_write_and_other_pages_cannot_ask_for_the_one_that_does(viewer):
    reading = urlsplit(viewer.address).query.removeprefix("token=")
    assert post(viewer, "/nothing-here", {}, X_Hviskd_Token=reading).status == 403
    assert ask(viewer, "/write-token", cookie=False).status == 403
    assert ask(viewer, "/write-token", Origin="http://evil.example").status == 403
    answer = ask(viewer, "/write-token")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json["token"] not in viewer.address


def test_every_answer_forbids_what_is_foreign(viewer, keys):
    for target, cookie in (
        ("/", True),
        ("/", False),
        (f"/slides/{keys['one.svs']}/thumbnail", True),
        ("/nothing", True),
    ):
        headers = ask(viewer, target, cookie=cookie).headers
        assert headers["content-security-policy"].startswith("default-src 'self';")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers


def test_the_page_in_a_frame_of_another_page_stays_empty(viewer, window, tmp_path):
    (tmp_path / "evil.html").write_text(f"<iframe src='{viewer.address}'></iframe><img src='{viewer.address}'>")
    page = window.new_page()
    page.goto((tmp_path / "evil.html").as_uri())
    page.wait_for_timeout(500)
    assert not any(frame.query_selector("#stage") for frame in page.frames)
    page.close()


def test_it_listens_on_this_computer_alone(viewer):
    with socket.socket() as other:
        other.bind(("127.0.0.2", port_of(viewer)))  # on all addresses, this one would be taken


def test_no_answer_waits_for_the_client_to_acknowledge_its_headers(viewer):
    """A server that does not name its protocol to asyncio answers small requests 40 ms late, each of them."""
    target = page_file(viewer, "main.js")
    parts = urlsplit(viewer.address)
    headers = {"Cookie": f"hviskd-{parts.port}={parts.query.removeprefix('token=')}"}
    connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=20)
    took = []
    for _ in range(40):
        began = time.perf_counter()
        connection.request("GET", target, headers=headers)
        assert connection.getresponse().read()
        took.append(time.perf_counter() - began)
    connection.close()
    assert min(took[5:]) < 0.03  # of a busy machine, the quickest


def test_log_files_of_the_session_stay_open(tmp_path):
    """Libraries keep handlers, too: absl's closes the stream that was the error stream when it was imported."""
    log = logging.FileHandler(tmp_path / "session.log", mode="w")
    bound = bind(0)
    Listener(Guard(None, Access(bound.getsockname()[1])), bound).close()
    log.emit(logging.makeLogRecord({"msg": "still there"}))
    log.close()
    assert (tmp_path / "session.log").read_text() == "still there\n"


class TestSlowClients:
    @pytest.fixture
    def patience_s(self):
        return 0.3

    @pytest.fixture
    def listener(self, patience_s):
        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"50000000")]})
            await send({"type": "http.response.body", "body": bytes(50_000_000)})

        bound = bind(0)
        self.access = Access(bound.getsockname()[1])
        running = Listener(Guard(app, self.access), bound, patience_s=patience_s)
        self.connections = running._server.server_state.connections
        yield
        running.close()

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.access.port), timeout=10)

    def request(self):
        cookie = f"{self.access.cookie}={self.access.token}"
        return f"GET / HTTP/1.1\r\nHost: {self.access.hosts[0]}\r\nCookie: {cookie}\r\n\r\n".encode()

    @pytest.mark.slow
    @pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x"])
    def test_a_request_that_never_comes_is_not_waited_for(self, listener, sent):
        with self.connect() as client:
            client.sendall(sent)
            began = time.monotonic()
            with pytest.raises((ConnectionError, IndexError)):
                _ = client.recv(1)[0]
            assert time.monotonic() - began < 5

    @pytest.mark.slow
    def test_an_answer_that_is_not_taken_is_given_up(self, listener):
        with self.connect() as client:
            client.sendall(self.request())
            taken = len(client.recv(1))
            wait_until(lambda: not self.connections)
            with pytest.raises((ConnectionError, EOFError)):
                while True:
                    part = client.recv(2**20)
                    taken += len(part)
                    if not part:
                        raise EOFError
            assert taken < 50_000_000

    @pytest.mark.slow
    @pytest.mark.parametrize("patience_s", [600])
    def test_an_answer_that_is_taken_slowly_is_finished(self, listener):
        with self.connect() as client:
            client.sendall(self.request())
            client.recv(1)
            (connection,) = self.connections
            unsent = connection.transport.get_write_buffer_size
            wait_until(unsent)

            async def look():
                connection._look()

            for _ in range(4):  # as when time has passed, in which some was taken
                before = unsent()
                take(client, 8_000_000)
                wait_until(lambda before=before: unsent() < before)
                asyncio.run_coroutine_threadsafe(look(), connection.loop).result()
            take(client, 50_000_000 - 4 * 8_000_000)


def take(client, count):
    """Receive so many bytes."""
    while count:
        part = client.recv(min(count, 2**20))
        assert part, f"ended {count} bytes too early"
        count -= len(part)


class TestOtherComputers:
    def test_another_address_needs_the_token_and_its_own_name(self, slides):
        with open_viewer(slides, host="127.0.0.2") as viewer:
            port = port_of(viewer)
            assert viewer.address.startswith(f"http://127.0.0.2:{port}/?token=")
            token = viewer.address.partition("token=")[2]
            assert self.status(port, f"127.0.0.2:{port}", f"hviskd-{port}={token}") == 200
            assert self.status(port, f"127.0.0.2:{port}", "") == 403
            assert self.status(port, f"127.0.0.1:{port}", f"hviskd-{port}={token}") == 421

    def test_all_addresses_answer_to_the_one_that_was_reached_and_to_the_computer_s_name(self, slides):
        with open_viewer(slides, host="0.0.0.0") as viewer:
            port, name = port_of(viewer), socket.gethostname().lower()
            cookie = f"hviskd-{port}={viewer.address.partition('token=')[2]}"
            assert viewer.address.startswith(f"http://{name}:{port}/")
            for host, status in ((f"127.0.0.2:{port}", 200), (f"{name}:{port}", 200), ("evil.example", 421)):
                assert self.status(port, host, cookie) == status
            assert self.status(port, f"127.0.0.2:{port}", "") == 403

    def test_a_name_server_is_asked_once_and_only_for_all_addresses(self, monkeypatch):
        asked = []
        monkeypatch.setattr(socket, "getfqdn", lambda: asked.append(1) or "Here.Example")
        for host, times in (("127.0.0.1", 0), ("10.0.0.7", 0), ("0.0.0.0", 1)):
            access = Access(8000, host=host)
            assert access.hosts == access.hosts
            assert access.address.startswith(f"http://{access.hosts[0]}/")
            assert len(asked) == times
        assert "here.example:8000" in access.hosts

    def test_what_is_no_address_of_this_computer_is_told(self, slides):
        for host, problem in (("203.0.113.7", "not an address of this computer"), ("no.such.invalid", "no such name")):
            with pytest.raises(DataError, match=f"`host={host}`: {problem}"):
                open_viewer(slides, host=host)

    def status(self, port, host, cookie):
        connection = http.client.HTTPConnection("127.0.0.2", port, timeout=20)
        connection.request("GET", "/slides", headers={"Host": host, "Cookie": cookie})
        status = connection.getresponse().status
        connection.close()
        return status
