"""Who may ask the viewer, and for what: this computer's browser, with the token, and others if the user wants it.

Other pages open in the same browser may send requests to any port of this computer, and names can be made to point at
it. So a request must name the viewer itself as its host, come from no other page, and carry the cookie that the
address with the token gives. A request that writes must also say that it comes from the viewer's page, and carry in a
header a second token, which only that page can have read. What is refused is refused before anything of it is used.
"""

import secrets
import socket
import threading
from dataclasses import dataclass, field
from functools import cached_property
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hviskd.version import NOTICE

WRITES_WITH = "x-hviskd-token"  # the header of a request that writes
_WRITE_TOKEN = "/write-token"  # noqa: S105 - where the page asks for it
_LONGEST_TARGET = 2000  # characters of a path and query; a kept address of a view has some hundred
_UNKEPT = {"Cache-Control": "no-store"}
LOOPBACK = "127.0.0.1"
ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - only where the user asks for it
_NOTEBOOKS = "http://127.0.0.1:* http://localhost:*"  # whose pages may frame the viewer, if it was put into one
_POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; object-src 'none'; frame-ancestors "
_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Access:
    """Where a viewer is, and the secret that opens it.

    Attributes:
        port: Where it listens.
        token: In the address that is printed; 32 bytes of chance.
        write_token: In a header of what writes; the page asks for it, and no other page can read the answer.
        host: Where it listens: this computer alone, one of its addresses or names, or all of them.
        framed: Set while a page of a notebook on this computer may hold it in a frame.
    """

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    write_token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    host: str = LOOPBACK
    framed: threading.Event = field(default_factory=threading.Event)
    _once: list[str] = field(default_factory=list, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    @property
    def address(self) -> str:
        """The address to open, with the token."""
        return self._with(self.token)

    def address_for_once(self) -> str:
        """Return an address that opens the page one time; the one before is void from now on.

        It is for places that others can read, such as the command line of a browser.
        """
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._once[:] = [token]
        return self._with(token)

    def revoke(self) -> None:
        """Make the address for once void."""
        with self._lock:
            self._once.clear()

    @cached_property
    def hosts(self) -> tuple[str, ...]:
        """By what names a browser may ask, the first the one of the printed address."""
        names = [LOOPBACK, "localhost"] if self.host in (LOOPBACK, ALL_ADDRESSES) else [self.host]
        if self.host == ALL_ADDRESSES:  # asked for once, since a name server may take seconds to answer
            names = [socket.gethostname(), socket.getfqdn(), *names]
        return tuple(f"{name.lower()}:{self.port}" for name in names)

    @property
    def cookie(self) -> str:
        """The cookie's name; cookies of a host are common to all its ports."""
        return f"hviskd-{self.port}"

    def knows(self, token: str) -> bool:
        """Return whether this is the token, in a time that tells nothing of it."""
        return secrets.compare_digest(token.encode(), self.token.encode())

    def lets_write(self, token: str) -> bool:
        """Return whether this is the token of what writes."""
        return secrets.compare_digest(token.encode(), self.write_token.encode())

    def admits(self, token: str) -> bool:
        """Return whether an address with this token may be opened now; a token for once is void afterwards."""
        with self._lock:
            for_once = any(secrets.compare_digest(token.encode(), each.encode()) for each in self._once)
            if for_once:
                self._once.clear()
        return for_once or self.knows(token)

    def _with(self, token: str) -> str:
        return f"http://{self.hosts[0]}/?token={token}"


class Guard:
    """Answers requests that may not pass, and passes the others on to the app."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                frames = _NOTEBOOKS if self._access.framed.is_set() else "'none'"
                MutableHeaders(scope=message).update({**_HEADERS, "Content-Security-Policy": _POLICY + frames})
            await send(message)

        answer = self._refused(scope) or self._let_in(scope) or self._writes(scope)
        await (answer or self._app)(scope, receive, send_marked)

    def _refused(self, scope: Scope) -> Response | None:
        headers, hosts = Headers(scope=scope), self._hosts(scope)
        if [host.lower() for host in headers.getlist("host")] not in [[host] for host in hosts]:
            own = self._access.hosts[0]
            return _no(421, f"open http://{own}; a tunnel must use the same port, {self._access.port}, on both sides")
        origins = [f"http://{host}" for host in hosts]
        if any(origin not in origins for origin in headers.getlist("origin")):
            return _no(403, "asked by another page")
        own_sites = ["none", "same-origin"]
        if self._access.framed.is_set() and scope["path"] == "/" and headers.get("sec-fetch-dest") == "iframe":
            own_sites.append("same-site")  # a notebook at another port of this computer
        if headers.get("sec-fetch-site", "none") not in own_sites:
            return _no(403, "asked by another page")
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return _no(405, "neither for reading nor for saving", Allow="GET, HEAD, POST")
        if len(scope["raw_path"]) + len(scope["query_string"]) > _LONGEST_TARGET:
            return _no(414, "the address is too long")
        return None

    def _hosts(self, scope: Scope) -> tuple[str, ...]:
        """Return the names by which the viewer may be asked: also the address that the connection came to."""
        reached = scope.get("server")
        if self._access.host != ALL_ADDRESSES or not reached:
            return self._access.hosts
        return (*self._access.hosts, f"{reached[0]}:{self._access.port}")

    def _let_in(self, scope: Scope) -> Response | None:
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        tokens = [value for name, value in query if name == "token"]
        cookie = _cookie(scope, self._access.cookie)
        if scope["path"] == "/" and tokens:
            if not (self._access.admits(tokens[0]) or self._access.knows(cookie)):
                return _no(403, "the token is void or another viewer's; open the address that this one printed")
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            answer = RedirectResponse(f"/?{rest}" if rest else "/", 303, headers=_UNKEPT)
            answer.set_cookie(self._access.cookie, self._access.token, httponly=True, samesite="strict")
            return answer
        if not self._access.knows(cookie):
            return _no(403, "open the address, with its token, that the viewer printed when it started")
        return None

    def _writes(self, scope: Scope) -> Response | None:
        """Refuse what would write without being asked by the page; tell the page, which was let in, how to ask."""
        if scope["method"] != "POST":
            known = scope["path"] == _WRITE_TOKEN
            return JSONResponse({"token": self._access.write_token}, headers=_UNKEPT) if known else None
        headers = Headers(scope=scope)
        if len(headers.getlist("origin")) != 1:
            return _no(403, "only the viewer's own page may save")
        if not self._access.lets_write(headers.get(WRITES_WITH, "")):
            return _no(403, "saving needs the viewer's token; load the page again")
        return None


def _cookie(scope: Scope, name: str) -> str:
    try:
        jar = SimpleCookie("; ".join(Headers(scope=scope).getlist("cookie")))
    except CookieError:
        return ""
    return jar[name].value if name in jar else ""


def _no(status: int, reason: str, **headers: str) -> Response:
    return PlainTextResponse(f"hviskd: {reason}\n\n{NOTICE}\n", status, headers={**_UNKEPT, **headers})
