"""Listens, by default on this computer alone, and lets no client hold it up."""

import asyncio
import errno
import socket
import threading
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from hviskd.errors import DataError

_MOST_CLIENTS = 256  # connections and requests at a time; more are told to come back
_MOST_CONNECTIONS = 2 * _MOST_CLIENTS  # more are not listened to; each takes one of the process's open files
_PATIENCE_S = 10.0  # in which a request must have come, and some of its answer must have been taken
_CLOSE_S = 2


def bind(port: int, host: str = "127.0.0.1") -> socket.socket:
    """Return a socket at an address of this computer; port 0 takes a free one.

    Raises:
        DataError: The port is no port, or is taken, or the host is not this computer.
    """
    if not 0 <= port <= 65_535:
        raise DataError(f"`port={port}`: must be from 1 to 65,535, or 0 for any free one")
    # asyncio turns off the waiting for more to send (Nagle's) only where the protocol is named: 40 ms an answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except socket.gaierror as error:
        listener.close()
        raise DataError(f"`host={host}`: no such name ({error.strerror}); give an address of this computer") from error
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise DataError(f"`host={host}`: not an address of this computer") from error
        raise DataError(f"`port={port}`: cannot be used ({error.strerror}); choose another, or 0 for any") from error
    return listener


class Listener:
    """A server that runs in a thread of its own until it is closed."""

    def __init__(self, app: ASGIApp, listener: socket.socket, *, patience_s: float = _PATIENCE_S) -> None:
        # uvicorn's own settings of logging close every handler of the process, a user's log file among them.
        config = uvicorn.Config(
            app,
            http=_impatient(patience_s),
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            limit_concurrency=_MOST_CLIENTS,
            backlog=_MOST_CLIENTS,
            timeout_graceful_shutdown=_CLOSE_S,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="viewer", daemon=True)
        listener.listen(_MOST_CLIENTS)  # who asks before the thread has begun waits
        self._thread.start()

    def wait(self) -> None:
        """Wait until it is closed, or the thread that waits is interrupted."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def close(self) -> None:
        """Answer what was asked, and stop."""
        self._server.should_exit = True
        self._thread.join(2 * _CLOSE_S + 1)


def _impatient(patience_s: float) -> type[H11Protocol]:
    """Return uvicorn's protocol, but with an end to connections on which nothing moves."""

    class Impatient(H11Protocol):
        """Looks every few seconds whether a request is still coming in, or an answer is not being taken."""

        _last: tuple[object, int] | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > _MOST_CONNECTIONS:
                transport.abort()
                return
            self.loop.call_later(patience_s, self._look)

        def _look(self) -> None:
            if self.transport.is_closing() and not self.transport.get_write_buffer_size():
                return
            answering = self.cycle is not None and not self.cycle.response_complete
            unsent = self.transport.get_write_buffer_size()
            stands_still = self._last == (self.cycle, unsent)
            if (stands_still and unsent) or (stands_still and not answering):
                self.transport.abort()
                return
            self._last = (self.cycle, unsent)
            asyncio.get_running_loop().call_later(patience_s, self._look)

    return Impatient
