"""Serialises processes that write one output as a whole: `tiles cut`, `attend`, `agree`, `adapt`, `tune`, `compare`."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import typer

from hviskd.cli.answers import Answer

_Verb = Callable[..., Answer]


def in_turn(show: Callable[[Path, typer.Context], Answer] | None = None) -> Callable[[_Verb], _Verb]:
    """Make a verb wait while another process writes its `output`.

    Args:
        show: Called with the output and the verb's context instead of the verb if the process that was waited for has
            written what the same command would write; None for a verb that skips what is finished.
    """

    def waiting(verb: _Verb) -> _Verb:
        @wraps(verb)
        def wait_and_run(*, output: Path, **options: Any) -> Answer:
            from hviskd.claims import turn

            def tell() -> None:
                typer.echo(f"{output}: another process is writing it; waiting", err=True)

            words = {name: str(value) for name, value in options.items() if name != "context"}
            with turn(output, verb.__name__, str(Path.cwd()), words, waiting=tell) as written:
                if written and show is not None:
                    typer.echo(f"{output}: written by another process with the same options")
                    return show(output, options["context"])
                return verb(output=output, **options)

        return wait_and_run

    return waiting
