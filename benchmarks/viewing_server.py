"""A viewer that runs in a process of its own, and those who look at it: what `viewing.py` measures with."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

CONNECTIONS = 6  # of a browser to one server
PACE_S = 0.5  # between two moves of somebody who looks at what is shown
CLICKS = 10  # of somebody who looks at all


@dataclass(frozen=True)
class Server:
    """A running server: its process, its port, the cookie it wants, and where its tiles are."""

    process: subprocess.Popen
    port: int
    cookie: str
    tile: Callable[[str], str]
    up: float = 0.0

    def cpu_s(self) -> float:
        """Return its user and system time."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mib(self) -> float:
        """Return its largest resident set so far."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


class Connection:
    """A connection that stays open as long as the server lets it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.stream = None

    def get(self, target: str) -> bytes:
        """Return the body at a target.

        Raises:
            RuntimeError: It was not served.
        """
        kept = self.stream is not None
        status = self._asked(target)
        if kept and not status:  # the server closes what was not used for some seconds; a browser asks again, too
            self.close()
            status = self._asked(target)
        length, closes = 0, status.startswith(b"HTTP/1.0")
        while (line := self.stream.readline().lower()) not in (b"\r\n", b""):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
            closes |= line.startswith(b"connection: close")
        body = self.stream.read(length)
        if closes:
            self.close()
        if status.split()[1:2] != [b"200"] or len(body) < length:
            raise RuntimeError(f"{target}: {status!r}")
        return body

    def _asked(self, target: str) -> bytes:
        """Ask, and return the line that says how it went; empty where the server has closed the connection."""
        if self.stream is None:
            self.socket = socket.create_connection(("127.0.0.1", self.server.port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.stream = self.socket.makefile("rb")
        lines = [f"GET {target} HTTP/1.1", f"Host: 127.0.0.1:{self.server.port}", f"Cookie: {self.server.cookie}"]
        try:
            self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
            return self.stream.readline()
        except ConnectionError:
            return b""

    def close(self) -> None:
        """Close it."""
        if self.stream is not None:
            self.stream.close()
            self.socket.close()
            self.stream = None


@contextmanager
def viewer(slide: Path, *given: object) -> Iterator[Server]:
    """Run `hviskd view` on a slide."""
    command = [sys.executable, "-m", "hviskd", "view", str(slide), "--no-browser", *map(str, given)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            found = None
            while found is None:
                line = process.stdout.readline()
                if not line:
                    sys.exit("hviskd view ended before it printed its address")
                found = re.search(r"127\.0\.0\.1:(\d+)/\?token=(\S+)", line)
            up = time.perf_counter()
            server = Server(process, int(found[1]), f"hviskd-{found[1]}={found[2]}", str)
            key = json.loads(Connection(server).get("/slides"))["slides"][0]["key"]
            yield Server(process, server.port, server.cookie, lambda tile: f"/slides/{key}/tiles/{tile}", up)
        finally:
            process.terminate()


def follow(server: Server, path: list[list[str]], *, pace_s: float = 0.0) -> list[float]:
    """Ask for the tiles of a path, step after step, and return the seconds of each."""
    waiting: SimpleQueue[str | None] = SimpleQueue()
    came: SimpleQueue[float | Exception] = SimpleQueue()

    def ask() -> None:
        connection = Connection(server)
        while (tile := waiting.get()) is not None:
            began = time.perf_counter()
            try:
                connection.get(server.tile(tile))
                came.put(time.perf_counter() - began)
            except (OSError, RuntimeError) as error:
                came.put(error)
        connection.close()

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    took = []
    for step in path:
        began = time.perf_counter()
        for tile in step:
            waiting.put(tile)
        for _ in step:
            found = came.get()
            if isinstance(found, Exception):
                raise found
            took.append(found)
        time.sleep(max(0.0, pace_s - (time.perf_counter() - began)))
    for _ in threads:
        waiting.put(None)
    return took


def look_on(server: Server, path: list[list[str]], ended: threading.Event) -> None:
    """Follow a path at a human pace until something else has ended."""
    while not ended.is_set():
        for step in path:
            if ended.is_set():
                break
            follow(server, [step], pace_s=PACE_S)


def look_at_all(server: Server, path: list[list[str]]) -> None:
    """Use all of the page: hear events, follow a path, ask for all cells of all layers, and click on the least sure."""
    connection, slide = Connection(server), server.tile("").removesuffix("/tiles/")
    with listening(server):
        follow(server, path)
        facts = json.loads(connection.get(slide))
        classes = [f"class-{number}" for number in range(len(facts["maps"][0]["classes"]))]
        kinds = ("classes", "entropy", "top", "disagreement", *classes)
        for layer in ("tissue", *(f"0-{kind}" for kind in kinds)):
            look_at_layer(connection, f"{slide}/layers/{layer}")
        connection.get(f"{slide}/outlines")
        for tile in json.loads(connection.get(f"{slide}/least-sure/0"))["tiles"][:CLICKS]:
            place = f"x={tile['x']}&y={tile['y']}"
            connection.get(f"{slide}/at?{place}")
            connection.get(f"{slide}/at/0/tile?{place}")
            connection.get(f"{slide}/at/0/attention/0?{place}")
    connection.close()


def look_at_layer(connection: Connection, path: str) -> None:
    """Ask for all cells of a layer, at all its levels."""
    grid = json.loads(connection.get(path))
    for level in range(grid["levels"]):
        rows, columns = (-(-grid[side] // (grid["tile"] * 2**level)) for side in ("rows", "columns"))
        for place in range(rows * columns):
            connection.get(f"{path}/{level}/{place % columns}/{place // columns}")


@contextmanager
def listening(server: Server) -> Iterator[None]:
    """Hear what is told as it happens, as every open page does."""
    with socket.create_connection(("127.0.0.1", server.port)) as heard:
        lines = ["GET /live HTTP/1.1", f"Host: 127.0.0.1:{server.port}", f"Cookie: {server.cookie}", "", ""]
        heard.sendall("\r\n".join(lines).encode())
        if b" 200 " not in heard.recv(4096):
            raise RuntimeError("/live: refused")
        yield
