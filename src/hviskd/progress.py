"""How far a long function has come: a bar on a terminal or in Jupyter, or the caller's own function instead.

A long public function takes `progress: Progress | None = None`, hands it to one `progress_bar` a stage, and says
in its docstring: "progress: Called with done, total and what is being done; a bar by default".

    def survey(slides: Sequence[Path], *, progress: Progress | None = None) -> list[SlideReport]:
        with progress_bar("slides", len(slides), progress) as advance:
            for slide in slides:
                ...
                advance(note=slide.name)

`silent` as `progress` shows nothing. What the caller's function raises ends the work.
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
"""Called with how many steps are done, how many there are, and what is being done, in words."""


class Advance(Protocol):
    """Moves a bar on by some steps; several threads may call it."""

    def __call__(self, steps: int = 1, note: str = "") -> None:
        """Move on, and say in a short note what was done last."""


def silent(done: int, total: int, what: str) -> None:
    """Show nothing."""


@contextmanager
def progress_bar(description: str, total: int, progress: Progress | None = None) -> Iterator[Advance]:
    """Give the function that moves a stage on while the block runs.

    Args:
        description: What is being done, in a word or two.
        total: How many steps there are.
        progress: Whom to tell; a bar on the error stream if None, and nobody where that is no terminal.
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
    """Give the console that a bar can be drawn on, if there is one."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_jupyter:
        return console if console.is_terminal else None
    try:
        import_module("ipywidgets")
    except ImportError:  # rich itself would show nothing
        return Console(stderr=True, force_jupyter=False, force_terminal=True)
    return console
