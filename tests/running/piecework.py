"""A job of small pieces for clusters: each leaves a file when it begins and one when it is done."""

import os
import signal
import time
from dataclasses import dataclass, field, replace
from pathlib import Path


@dataclass
class Piecework:
    """Pieces are numbers; those in `deadly` kill their process, each takes `seconds`."""

    output: Path
    seconds: float = 0.0
    deadly: tuple[int, ...] = ()
    memory_bytes: int = 1
    hindrance: str = ""
    threads: int = 0
    done: list = field(default_factory=list)
    pieces: str = "pieces"

    def run(self, items, told, progress):
        for item in items:
            self._note("begun", item)
            if item in self.deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            if item < 0:
                raise ValueError(f"piece {item}")
            time.sleep(self.seconds)
            self._note("done", item)
            self.done.append(item)
            told((item, os.getpid(), len(self.done), self.threads, os.environ.get("CUDA_VISIBLE_DEVICES")))

    def _note(self, what, item):
        (self.output / f"{item}.{what}.{time.monotonic_ns()}").write_text(str(os.getpid()))

    def size(self, item):
        return item

    def name(self, item):
        return str(item)

    def with_threads(self, threads):
        return replace(self, threads=threads)

    def obstacle(self):
        return self.hindrance

    def lost(self, item, problem):
        return item, problem
