"""Progress of long functions: a bar on a terminal or in Jupyter, or a call of the user's own function.

A long public function takes `progress: Progress | None = None`, passes it to one `progress_bar` per stage, and
documents it as "progress: Called with done, total and what is being done; a bar by default".

    def survey(slides: Sequence[Path], *, progress: Progress | None = None) -> list[SlideReport]:
        with progress_bar("slides", len(slides), progress) as advance:
            for slide in slides:
                ...
                advance(note=slide.name)

`silent` as `progress` shows nothing. An exception from the user's function stops the work.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console

_REFRESHES = 4  # a second; a notebook may keep them all

Progress = Callable[[int, int, str], None]
"""Called with the number of steps done, their total, and what is being done, in words."""


class Advance(Protocol):
    """Advances a bar by some steps; several threads may call it."""

    def __call__(self, steps: int = 1, note: str = "") -> None:
        """Advance, and describe in a short note what was done last."""


def silent(done: int, total: int, what: str) -> None:
    """Show nothing."""


@contextmanager
def progress_bar(description: str, total: int, progress: Progress | None = None) -> Iterator[Advance]:
    """Yield the function that advances a stage while the block runs.

    Args:
        description: What is being done, in one or two words.
        total: Number of steps.
        progress: Function to call; if None, a bar on the error stream, if that is a terminal.
    """
    console = _console() if progress is None else None
    if console is None:
        yield _teller(description, total, progress or silent)
        return
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
        task = bar.add_task(description, total=total, note="")
        yield lambda steps=1, note="": bar.update(task, advance=steps, note=note)


def _teller(description: str, total: int, progress: Progress) -> Advance:
    done, lock = 0, threading.Lock()

    def advance(steps: int = 1, note: str = "") -> None:
        nonlocal done
        with lock:
            done += steps
            progress(done, total, f"{description}: {note}" if note else description)

    return advance


def _console() -> "Console | None":
    """Return the console to draw a bar on, if there is one."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_jupyter:
        return console if console.is_terminal else None
    try:
        import_module("ipywidgets")
    except ImportError:  # rich itself would show nothing
        return Console(stderr=True, force_jupyter=False, force_terminal=True)
    return console
