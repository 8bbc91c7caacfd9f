"""Progress of long functions: a bar on a terminal or in Jupyter, lines in a log file, or a call of the user's function.

A long public function takes `progress: Progress | None = None`, passes it to one `progress_bar` per stage, and
documents it as "progress: Called with done, total and what is being done; a bar by default".

    def survey(slides: Sequence[Path], *, progress: Progress | None = None) -> list[SlideReport]:
        with progress_bar("slides", len(slides), progress) as advance:
            for slide in slides:
                ...
                advance(note=slide.name)

`silent` as `progress` shows nothing. An exception from the user's function stops the work.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console

_REFRESHES = 4  # a second
_LINE_EVERY_S = 60  # in a log file

Progress = Callable[[int, int, str], None]
"""Called with the number of steps done, their total, and what is being done, as text."""


class Advance(Protocol):
    """Advances a bar by some steps; several threads may call it."""

    def __call__(self, steps: int = 1, note: str = "") -> None:
        """Advance, and describe in a short note what was done last.

        A note without a step is a remark, which has a line of its own in a log file.
        """


def silent(done: int, total: int, what: str) -> None:
    """Show nothing."""


@contextmanager
def progress_bar(description: str, total: int, progress: Progress | None = None, *, done: int = 0) -> Iterator[Advance]:
    """Yield the function that advances a stage while the block runs.

    Args:
        description: What is being done, in one or two words.
        total: Number of steps.
        progress: Function to call; if None, a bar in a notebook, or on the error stream if that is a terminal. Where it
            is none, a plain line a minute and for each remark, so that a log file is not silent for hours.
        done: Steps that were done before, of which the time left knows nothing.
    """
    if progress is not None:
        yield _teller(description, total, progress, done)
        return
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_jupyter:
        with _notebook_bar(description, total, done) as advance:
            yield advance
    elif console.is_terminal:
        with _terminal_bar(description, total, done, console) as advance:
            yield advance
    else:
        yield _line_writer(description, total, done)


@contextmanager
def _terminal_bar(description: str, total: int, before: int, console: "Console") -> Iterator[Advance]:
    from rich import progress as rich

    columns = (
        rich.TextColumn("{task.description}", markup=False),
        rich.BarColumn(bar_width=None),
        rich.MofNCompleteColumn(),
        rich.TimeElapsedColumn(),
        rich.TextColumn("left"),
        rich.TimeRemainingColumn(),
        rich.TextColumn("{task.fields[note]}", markup=False),
    )
    with rich.Progress(*columns, console=console, refresh_per_second=_REFRESHES) as bar:
        task = bar.add_task(description, total=total, completed=before, note="")
        yield lambda steps=1, note="": bar.update(task, advance=steps, note=note)


@contextmanager
def _notebook_bar(description: str, total: int, before: int) -> Iterator[Advance]:
    """Draw a bar as one output of the cell, replaced in place: a saved notebook keeps its last state, not each."""
    started, done, last_note, lock = time.monotonic(), before, "", threading.Lock()

    def advance(steps: int = 1, note: str = "") -> None:
        nonlocal done, last_note
        with lock:
            done, last_note = done + steps, note

    def drawn() -> dict[str, str]:
        with lock:
            at, note = done, last_note
        words = _line(description, (before, at, total), started, note)
        bar = f'<progress value="{at}" max="{max(total, 1)}"></progress>'
        return {"text/plain": words, "text/html": f"<div>{bar} {escape(words)}</div>"}

    def keep_drawing() -> None:
        while not ended.wait(1 / _REFRESHES):
            output.update(drawn(), raw=True)

    output = import_module("IPython.display").display(drawn(), raw=True, display_id=True)
    ended, drawer = threading.Event(), threading.Thread(target=keep_drawing, daemon=True)
    drawer.start()
    try:
        yield advance
    finally:
        ended.set()
        drawer.join()
        output.update(drawn(), raw=True)


def _line_writer(description: str, total: int, before: int) -> Advance:
    """Return a function that writes a line on the error stream now and then; short work writes none."""
    started, done, lock = time.monotonic(), before, threading.Lock()
    last = started

    def advance(steps: int = 1, note: str = "") -> None:
        nonlocal done, last
        with lock:
            done += steps
            now = time.monotonic()
            if (not steps and note) or now - last >= _LINE_EVERY_S:
                last = now
                print(_line(description, (before, done, total), started, note), file=sys.stderr, flush=True)  # noqa: T201

    return advance


def _line(description: str, steps: tuple[int, int, int], started: float, note: str) -> str:
    """Return a bar as words; `steps` are those done before, done now, and all."""
    _, done, total = steps
    at = f"{description} {done:,}/{total:,} {_times(started, *steps)}"
    return f"{at}: {note}" if note else at


def _times(started: float, before: int, done: int, total: int) -> str:
    """Return the time taken since `time.monotonic()` was `started` and, while steps remain, the time left in words."""
    taken = time.monotonic() - started
    left = f", {_clock(taken * (total - done) / (done - before))} left" if before < done < total else ""
    return f"in {_clock(taken)}{left}"


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _teller(description: str, total: int, progress: Progress, before: int) -> Advance:
    done, lock = before, threading.Lock()
    if before:
        progress(before, total, description)

    def advance(steps: int = 1, note: str = "") -> None:
        nonlocal done
        with lock:
            done += steps
            progress(done, total, f"{description}: {note}" if note else description)

    return advance
